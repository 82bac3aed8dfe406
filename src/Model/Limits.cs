namespace Quicksilver.Model;

/// <summary>
/// Every size limit of the system, in one place. Persisted and wire formats use lengths that reach well past them, so a limit
/// can be raised without a new format.
/// </summary>
public static class Limits
{
    /// <summary>Longest key, bytes. A key has at least 1.</summary>
    public const int MaxKeyBytes = 1024;

    /// <summary>Longest value, bytes. A value may be empty.</summary>
    public const int MaxValueBytes = 1024 * 1024;

    /// <summary>Longest metadata of a key, bytes. Source: the same limit in Workers KV.</summary>
    public const int MaxMetadataBytes = 1024;

    /// <summary>Longest time to live of a key. Longer than that is for ever.</summary>
    public static readonly TimeSpan MaxTimeToLive = TimeSpan.FromDays(3_650);

    /// <summary>Most mutations of one transaction.</summary>
    public const int MaxMutations = 10_000;

    /// <summary>Most conditions of one transaction.</summary>
    public const int MaxConditions = 1_000;

    /// <summary>
    /// Most conditions of one transaction that ask for changes since a revision. Each is judged by reading back through the log,
    /// at apply, on every hub member.
    /// </summary>
    public const int MaxChangeConditions = 16;

    /// <summary>Most prefix deletes of one transaction.</summary>
    public const int MaxPrefixDeletes = 16;

    /// <summary>
    /// Most rows that the prefix deletes of one transaction may remove together, where one with a large value counts as several
    /// (<see cref="PrefixRowBytes"/>). Counted at apply, on every hub member, before any of them is removed: a prefix that was meant to be longer
    /// must not empty a keyspace, and the count holds up whatever comes behind it.
    /// </summary>
    public const int MaxPrefixRows = 100_000;

    /// <summary>
    /// Rows that may be looked at for all prefix deletes of one Raft entry together, each of which counts as
    /// <see cref="PrefixDeleteCost"/> more. A transaction that would need more is refused as overloaded: apply must end in bounded time
    /// whatever is asked.
    /// </summary>
    public const int MaxPrefixWork = 250_000;

    /// <summary>A row that a prefix delete finds counts once more for each so many bytes of its value: to count it means to read it.</summary>
    public const int PrefixRowBytes = 4_096;

    /// <summary>What one prefix delete costs beside its rows: each read of the entry that comes behind it has to pass it.</summary>
    public const int PrefixDeleteCost = 1_000;

    /// <summary>Largest transaction in its binary form, bytes.</summary>
    public const int MaxTransactionBytes = 4 * 1024 * 1024;

    /// <summary>Slots into which keys fall; also the most shards of a keyspace. Source: Quicksilver v2's logical shards.</summary>
    public const int SlotCount = 1024;

    /// <summary>Largest message on any Orleans connection, bytes. Both ends must agree; a larger one closes the connection.</summary>
    public const int MaxMessageBytes = 8 * 1024 * 1024;

    /// <summary>
    /// Largest header of such a message, bytes: addresses, and what the caller's request context carries along. Only traces are carried on purpose;
    /// a client inside an application's own grains brings along what that has there.
    /// </summary>
    public const int MaxMessageHeaderBytes = 256 * 1024;

    /// <summary>
    /// Budget of one answer or merged request, bytes: one largest row or transaction plus headers must fit beside it, so that
    /// budget + one more item stays below <see cref="MaxMessageBytes"/>.
    /// </summary>
    public const int MaxBatchBytes = 1024 * 1024;

    /// <summary>Budget of the rows of one multi-read, bytes; with one more largest row and headers it fits <see cref="MaxMessageBytes"/>.</summary>
    public const int MaxRowsBytes = 4 * 1024 * 1024;

    /// <summary>Most keys of one multi-read.</summary>
    public const int MaxKeysPerRead = 10_000;

    /// <summary>Most commands of one commit call, and most of one Raft entry.</summary>
    public const int MaxCommandsPerBatch = 4_096;

    /// <summary>Most rows of one scan page.</summary>
    public const int MaxScanRows = 10_000;

    /// <summary>Default size of a page of the change log, bytes of records. A page holds at least one record, whatever its size.</summary>
    public const int DefaultPageBytes = 512 * 1024;

    /// <summary>
    /// How far back, in revisions, the condition "not changed since" may look. It is judged by reading the log from there on,
    /// at apply, so it must be bounded; further back it is refused.
    /// </summary>
    public const int MaxConditionWindow = 10_000;

    /// <summary>
    /// Mutations that all conditions of one Raft entry together may look at while reading back through the log. A condition that
    /// would need more is not met: apply must end in bounded time whatever is asked.
    /// </summary>
    public const int MaxConditionWork = 500_000;
}
