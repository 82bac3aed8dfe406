namespace Quicksilver.Model;

/// <summary>
/// Milliseconds since 1970-01-01 UTC, stamped by the leader into the log and never decreasing. It is not the wall clock of the
/// node that reads it.
/// </summary>
[GenerateSerializer, Immutable, Alias("qs.LogTime")]
public readonly record struct LogTime([property: Id(0)] long Value) : IComparable<LogTime>
{
    /// <summary>Before any entry was stamped.</summary>
    public static readonly LogTime None;

    /// <summary>This time moved by <paramref name="span"/>, whole milliseconds, not below zero.</summary>
    public LogTime Add(TimeSpan span) => new(Math.Max(0, Value + (long)span.TotalMilliseconds));

    /// <inheritdoc/>
    public int CompareTo(LogTime other) => Value.CompareTo(other.Value);

    public static bool operator <(LogTime left, LogTime right) => left.Value < right.Value;
    public static bool operator >(LogTime left, LogTime right) => left.Value > right.Value;
    public static bool operator <=(LogTime left, LogTime right) => left.Value <= right.Value;
    public static bool operator >=(LogTime left, LogTime right) => left.Value >= right.Value;

    /// <inheritdoc/>
    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}
