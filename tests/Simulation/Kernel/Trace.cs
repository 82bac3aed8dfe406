using System.Globalization;
using System.IO.Hashing;
using System.Text;

namespace Quicksilver.Simulation;

/// <summary>All that happened, as one hash: two runs that have the same have done the same. And, where somebody wants to read it, as text.</summary>
internal sealed class Trace(TextWriter? text = null)
{
    private readonly XxHash128 _hash = new();

    public int Lines { get; private set; }

    public void Add(TimeSpan at, string what)
    {
        var line = string.Create(CultureInfo.InvariantCulture, $"{at.TotalMilliseconds,12:0.000}  {what}\n");
        _hash.Append(Encoding.UTF8.GetBytes(line));
        text?.Write(line);
        Lines++;
    }

    public string Hash => Convert.ToHexStringLower(_hash.GetCurrentHash());
}
