namespace Quicksilver.Model;

/// <summary>
/// Position in the change log: dense, from 1, one per committed transaction that had an effect. 0 means "before the first".
/// It says which prefix of the log a state reflects, and it is what clients see. It is not a Raft index
/// (<see cref="LogIndex"/>) and not a RocksDB sequence number.
/// </summary>
[GenerateSerializer, Immutable, Alias("qs.Revision")]
public readonly record struct Revision([property: Id(0)] long Value) : IComparable<Revision>
{
    /// <summary>The state before any transaction.</summary>
    public static readonly Revision None;

    /// <summary>The revision that follows this one.</summary>
    public Revision Next => new(Value + 1);

    /// <inheritdoc/>
    public int CompareTo(Revision other) => Value.CompareTo(other.Value);

    public static bool operator <(Revision left, Revision right) => left.Value < right.Value;
    public static bool operator >(Revision left, Revision right) => left.Value > right.Value;
    public static bool operator <=(Revision left, Revision right) => left.Value <= right.Value;
    public static bool operator >=(Revision left, Revision right) => left.Value >= right.Value;

    /// <inheritdoc/>
    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}
