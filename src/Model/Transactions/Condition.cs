namespace Quicksilver.Model;

/// <summary>What a condition asks. Stored in Raft entries: explicit numbers, append-only.</summary>
public enum ConditionKind : byte
{
    Unspecified = 0,

    /// <summary>The key does not exist.</summary>
    Absent = 1,

    /// <summary>The key exists and was last changed at exactly this revision.</summary>
    RevisionIs = 2,

    /// <summary>The key was neither put nor deleted after this revision.</summary>
    KeyUnchangedSince = 3,

    /// <summary>No key with this prefix was put or deleted after this revision.</summary>
    PrefixUnchangedSince = 4,
}

/// <summary>
/// Something that must hold for a transaction to take effect. It is judged when the transaction is applied, in log order, and
/// nowhere else; so of any number of racing writers with the same condition at most one wins.
/// </summary>
public readonly record struct Condition
{
    private Condition(ConditionKind kind, Key key, Revision revision) => (Kind, Key, Revision) = (kind, key, revision);

    public ConditionKind Kind { get; }

    /// <summary>The key, or the prefix where the kind says so (a prefix has at least one byte, like a key).</summary>
    public Key Key { get; }

    public Revision Revision { get; }

    public static Condition Absent(Key key) => new(ConditionKind.Absent, key, Revision.None);

    /// <summary>Revision 0 means the key must not exist.</summary>
    public static Condition RevisionIs(Key key, Revision revision) =>
        revision == Revision.None ? Absent(key) : new(ConditionKind.RevisionIs, key, NotNegative(revision));

    public static Condition UnchangedSince(Key key, Revision revision) => new(ConditionKind.KeyUnchangedSince, key, NotNegative(revision));

    public static Condition PrefixUnchangedSince(Key prefix, Revision revision) =>
        new(ConditionKind.PrefixUnchangedSince, prefix, NotNegative(revision));

    private static Revision NotNegative(Revision revision)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(revision.Value, nameof(revision));
        return revision;
    }
}
