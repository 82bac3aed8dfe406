namespace Quicksilver.Model;

/// <summary>Raft leadership epoch. It decides who may write; nothing else does.</summary>
[GenerateSerializer, Immutable, Alias("qs.Term")]
public readonly record struct Term([property: Id(0)] long Value) : IComparable<Term>
{

    /// <inheritdoc/>
    public int CompareTo(Term other) => Value.CompareTo(other.Value);

    public static bool operator <(Term left, Term right) => left.Value < right.Value;
    public static bool operator >(Term left, Term right) => left.Value > right.Value;
    public static bool operator <=(Term left, Term right) => left.Value <= right.Value;
    public static bool operator >=(Term left, Term right) => left.Value >= right.Value;

    /// <inheritdoc/>
    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}
