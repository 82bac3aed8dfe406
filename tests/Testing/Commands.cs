using Quicksilver.Model;

namespace Quicksilver.Testing;

/// <summary>Encoded commands for tests, with operation ids that count up.</summary>
public sealed class Commands(LogTime issuedAt)
{
    private ulong _number;

    public LogTime IssuedAt { get; set; } = issuedAt;

    public OperationId NextId() => new(IssuedAt, 7, ++_number);

    public ReadOnlyMemory<byte> Create(string name, KeyspaceSettings? settings = null)
    {
        var writer = new ByteWriter();
        CommandWriter.WriteCreateKeyspace(writer, NextId(), KeyspaceName.Parse(name), settings ?? KeyspaceSettings.Default);
        return writer.ToArray();
    }

    public ReadOnlyMemory<byte> Update(string name, KeyspaceSettings settings)
    {
        var writer = new ByteWriter();
        CommandWriter.WriteUpdateKeyspace(writer, NextId(), KeyspaceName.Parse(name), settings);
        return writer.ToArray();
    }

    public ReadOnlyMemory<byte> Drop(string name)
    {
        var writer = new ByteWriter();
        CommandWriter.WriteDeleteKeyspace(writer, NextId(), KeyspaceName.Parse(name));
        return writer.ToArray();
    }

    public ReadOnlyMemory<byte> Put(KeyspaceId keyspace, string key, string value, params Condition[] conditions) =>
        Transaction(keyspace, [Mutation.Put(key, System.Text.Encoding.UTF8.GetBytes(value))], conditions);

    public ReadOnlyMemory<byte> Delete(KeyspaceId keyspace, string key, params Condition[] conditions) =>
        Transaction(keyspace, [Mutation.Delete(key)], conditions);

    public ReadOnlyMemory<byte> DeletePrefix(KeyspaceId keyspace, string prefix, params Condition[] conditions) =>
        Transaction(keyspace, [Mutation.DeletePrefix(prefix)], conditions);

    public ReadOnlyMemory<byte> Transaction(
        KeyspaceId keyspace, Mutation[] mutations, Condition[]? conditions = null,
        CommandOptions options = CommandOptions.None, OperationId? id = null)
    {
        var writer = new ByteWriter();
        CommandWriter.WriteTransaction(writer, keyspace, id ?? NextId(), conditions ?? [], mutations, options);
        return writer.ToArray();
    }

    public ReadOnlyMemory<byte> PutFor(KeyspaceId keyspace, string key, string value, TimeSpan timeToLive) =>
        Transaction(keyspace, [Mutation.Put(key, System.Text.Encoding.UTF8.GetBytes(value), timeToLive: timeToLive)]);

    public ReadOnlyMemory<byte> Expire(KeyspaceId keyspace, params IReadOnlyCollection<Expiry> expiries)
    {
        var writer = new ByteWriter();
        CommandWriter.WriteExpire(writer, NextId(), keyspace, expiries);
        return writer.ToArray();
    }
}
