namespace Quicksilver.Model;

/// <summary>Kind of a command. Stored in Raft entries: explicit numbers, append-only.</summary>
public enum CommandKind : byte
{
    Unspecified = 0,
    Transaction = 1,
    CreateKeyspace = 2,
    UpdateKeyspace = 3,
    DeleteKeyspace = 4,

    /// <summary>The first command of a hub: makes its cluster uuid and first history. Never from a client.</summary>
    FormCluster = 5,

    /// <summary>Turns on a new behaviour of apply on all members at one point of the log. Never from a client.</summary>
    RaiseFeatureLevel = 6,

    /// <summary>Deletes the keys of one keyspace whose time is over. Never from a client.</summary>
    Expire = 7,
}

/// <summary>Switches of a transaction. Stored in Raft entries.</summary>
[Flags]
public enum CommandOptions : byte
{
    None = 0,

    /// <summary>Take no revision where every mutation would leave its key as it is.</summary>
    SkipUnchanged = 1,
}

/// <summary>
/// Writes commands in the binary form in which they travel from the client through grains and Raft to apply, unchanged:
/// format version, kind, operation id, body (docs/log-format.md, "Commands"). A retry must send the same bytes.
/// </summary>
public static class CommandWriter
{
    public const byte FormatVersion = 1;

    /// <summary>
    /// A transaction of one keyspace. Throws <see cref="ArgumentException"/> where it has no mutation, two mutations of one key,
    /// prefix deletes that overlap or do not come first, or is over a limit.
    /// </summary>
    public static void WriteTransaction(
        ByteWriter writer, KeyspaceId keyspace, OperationId operationId,
        IReadOnlyCollection<Condition> conditions, IReadOnlyCollection<Mutation> mutations, CommandOptions options = CommandOptions.None)
    {
        ThrowIfOutsideLimits(conditions, mutations);
        var start = writer.Length;
        WriteHeader(writer, CommandKind.Transaction, operationId);
        writer.WriteUInt32(keyspace.Value);
        writer.WriteByte((byte)options);
        writer.WriteVarint(conditions.Count);
        foreach (var condition in conditions)
        {
            writer.WriteByte((byte)condition.Kind);
            writer.WriteBytes(condition.Key.Span);
            writer.WriteVarint(condition.Revision.Value);
        }

        writer.WriteVarint(mutations.Count);
        foreach (var mutation in mutations)
        {
            MutationFormat.Write(writer, mutation);
        }

        var size = writer.Length - start;
        if (size > Limits.MaxTransactionBytes)
        {
            writer.Truncate(start);
            throw new ArgumentException($"The transaction has {size} bytes; the limit is {Limits.MaxTransactionBytes} (Limits.MaxTransactionBytes).", nameof(mutations));
        }
    }

    public static void WriteCreateKeyspace(ByteWriter writer, OperationId operationId, KeyspaceName name, KeyspaceSettings settings) =>
        WriteKeyspaceChange(writer, CommandKind.CreateKeyspace, operationId, name, settings);

    public static void WriteUpdateKeyspace(ByteWriter writer, OperationId operationId, KeyspaceName name, KeyspaceSettings settings) =>
        WriteKeyspaceChange(writer, CommandKind.UpdateKeyspace, operationId, name, settings);

    public static void WriteDeleteKeyspace(ByteWriter writer, OperationId operationId, KeyspaceName name)
    {
        WriteHeader(writer, CommandKind.DeleteKeyspace, operationId);
        writer.WriteBytes(System.Text.Encoding.ASCII.GetBytes(name.Value));
    }

    public static void WriteFormCluster(ByteWriter writer, OperationId operationId, ClusterUuid cluster, HistoryId history)
    {
        WriteHeader(writer, CommandKind.FormCluster, operationId);
        cluster.Write(writer.Reserve(ClusterUuid.SizeBytes));
        history.Write(writer.Reserve(HistoryId.SizeBytes));
    }

    public static void WriteRaiseFeatureLevel(ByteWriter writer, OperationId operationId, int level)
    {
        WriteHeader(writer, CommandKind.RaiseFeatureLevel, operationId);
        writer.WriteVarint(level);
    }

    /// <param name="expiries">All of one keyspace, at most <see cref="Limits.MaxMutations"/>.</param>
    public static void WriteExpire(ByteWriter writer, OperationId operationId, KeyspaceId keyspace, IReadOnlyCollection<Expiry> expiries)
    {
        WriteHeader(writer, CommandKind.Expire, operationId);
        writer.WriteUInt32(keyspace.Value);
        writer.WriteVarint(expiries.Count);
        foreach (var expiry in expiries)
        {
            writer.WritePosition(expiry.At.Value);
            writer.WritePosition(expiry.Revision.Value);
            writer.WriteBytes(expiry.Key.Span);
        }
    }

    private static void WriteKeyspaceChange(ByteWriter writer, CommandKind kind, OperationId operationId, KeyspaceName name, KeyspaceSettings settings)
    {
        if (settings.Problem() is { } problem)
        {
            throw new ArgumentException(problem, nameof(settings));
        }

        WriteHeader(writer, kind, operationId);
        writer.WriteBytes(System.Text.Encoding.ASCII.GetBytes(name.Value));
        KeyspaceSettingsFormat.Write(writer, settings);
    }

    private static void WriteHeader(ByteWriter writer, CommandKind kind, OperationId operationId)
    {
        writer.WriteByte(FormatVersion);
        writer.WriteByte((byte)kind);
        operationId.Write(writer.Reserve(OperationId.SizeBytes));
    }

    private static void ThrowIfOutsideLimits(IReadOnlyCollection<Condition> conditions, IReadOnlyCollection<Mutation> mutations)
    {
        if (mutations.Count == 0)
        {
            throw new ArgumentException("The transaction has no mutation; a transaction changes at least one key.", nameof(mutations));
        }

        if (mutations.Count > Limits.MaxMutations)
        {
            throw new ArgumentException($"The transaction has {mutations.Count} mutations; the limit is {Limits.MaxMutations} (Limits.MaxMutations).", nameof(mutations));
        }

        if (conditions.Count > Limits.MaxConditions)
        {
            throw new ArgumentException($"The transaction has {conditions.Count} conditions; the limit is {Limits.MaxConditions} (Limits.MaxConditions).", nameof(conditions));
        }

        HashSet<Key>? seen = mutations.Count > 1 ? new(mutations.Count) : null;
        var prefixes = new PrefixRules();
        foreach (var mutation in mutations)
        {
            if (mutation.Key.Span.IsEmpty)
            {
                throw new ArgumentException("A mutation has no key.", nameof(mutations));
            }

            if (prefixes.Add(mutation.Kind, mutation.Key) is { } problem)
            {
                throw new ArgumentException(problem, nameof(mutations));
            }

            if (mutation.Kind == MutationKind.DeletePrefix)
            {
                continue;
            }

            if (seen is not null && !seen.Add(mutation.Key))
            {
                throw new ArgumentException($"The transaction has two mutations of the key '{mutation.Key}'; it may have one per key.", nameof(mutations));
            }
        }

        var changes = 0;
        foreach (var condition in conditions)
        {
            if (condition.Key.Span.IsEmpty)
            {
                throw new ArgumentException("A condition has no key.", nameof(conditions));
            }

            changes += condition.Kind is ConditionKind.KeyUnchangedSince or ConditionKind.PrefixUnchangedSince ? 1 : 0;
        }

        if (changes > Limits.MaxChangeConditions)
        {
            throw new ArgumentException($"The transaction has {changes} conditions on changes since a revision; the limit is {Limits.MaxChangeConditions} (Limits.MaxChangeConditions).", nameof(conditions));
        }
    }
}
