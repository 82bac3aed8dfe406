namespace Quicksilver.Model;

/// <summary>Names one log of a hub. Always 0 today; carried everywhere so that a hub can run several logs later.</summary>
[GenerateSerializer, Immutable, Alias("qs.LogId")]
public readonly record struct LogId([property: Id(0)] int Value) : IComparable<LogId>
{
    /// <summary>The only log of a hub today.</summary>
    public static readonly LogId Main;

    /// <inheritdoc/>
    public int CompareTo(LogId other) => Value.CompareTo(other.Value);

    public static bool operator <(LogId left, LogId right) => left.Value < right.Value;
    public static bool operator >(LogId left, LogId right) => left.Value > right.Value;
    public static bool operator <=(LogId left, LogId right) => left.Value <= right.Value;
    public static bool operator >=(LogId left, LogId right) => left.Value >= right.Value;

    /// <inheritdoc/>
    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}
