using DotNext.IO;
using DotNext.Net.Cluster.Consensus.Raft;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <summary>An entry as the library sees it.</summary>
internal sealed class StoredEntry : IRaftLogEntry
{
    private readonly LogIndex _index;
    private readonly Term _term;
    private readonly int? _commandId;
    private readonly bool _isConfiguration;
    private readonly int _length;
    private RaftLogEntry? _entry;

    public StoredEntry(RaftLogEntry entry) => (_index, _term, _commandId, _isConfiguration, _length, _entry) =
        (entry.Index, entry.Term, entry.CommandId, entry.IsConfiguration, entry.Payload.Length, entry);

    /// <summary>Without its payload, where that is not in memory.</summary>
    public StoredEntry(LogIndex index, RaftTail tail) => (_index, _term, _commandId, _isConfiguration, _length, _entry) =
        (index, tail.TermOf(index), tail.CommandIdOf(index), tail.IsConfiguration(index), tail.LengthOf(index), tail.Find(index));

    public long Term => _term.Value;

    public int? CommandId => _commandId;

    public bool IsConfiguration => _isConfiguration;

    public long? Length => _length;

    public bool IsReusable => true;

    public void Load(IRaftLogStore store)
    {
        _entry ??= store.Read(_index);
        if (_entry.Term != _term)
        {
            throw new InvalidOperationException($"Entry {_index} was replaced while it was read.");
        }
    }

    public ValueTask WriteToAsync<TWriter>(TWriter writer, CancellationToken token)
        where TWriter : IAsyncBinaryWriter => writer.Invoke(_entry!.Payload, token);

    public bool TryGetMemory(out ReadOnlyMemory<byte> memory)
    {
        memory = _entry!.Payload;
        return true;
    }
}
