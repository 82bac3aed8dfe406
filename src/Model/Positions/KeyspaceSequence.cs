namespace Quicksilver.Model;

/// <summary>
/// Dense position within one keyspace's part of the change log, from 1. It lets a replica that follows only some keyspaces
/// prove that it missed nothing of them. 0 means "before the first".
/// </summary>
[GenerateSerializer, Immutable, Alias("qs.KeyspaceSequence")]
public readonly record struct KeyspaceSequence([property: Id(0)] long Value) : IComparable<KeyspaceSequence>
{
    /// <summary>Before the first record of the keyspace.</summary>
    public static readonly KeyspaceSequence None;

    /// <summary>The sequence that follows this one.</summary>
    public KeyspaceSequence Next => new(Value + 1);

    /// <inheritdoc/>
    public int CompareTo(KeyspaceSequence other) => Value.CompareTo(other.Value);

    public static bool operator <(KeyspaceSequence left, KeyspaceSequence right) => left.Value < right.Value;
    public static bool operator >(KeyspaceSequence left, KeyspaceSequence right) => left.Value > right.Value;
    public static bool operator <=(KeyspaceSequence left, KeyspaceSequence right) => left.Value <= right.Value;
    public static bool operator >=(KeyspaceSequence left, KeyspaceSequence right) => left.Value >= right.Value;

    /// <inheritdoc/>
    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}
