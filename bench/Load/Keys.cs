using System.Globalization;
using Quicksilver.Model;

namespace Quicksilver.Load;

/// <summary>Keys and values of a load: the same for every program that runs with the same sizes.</summary>
internal sealed class Keys(LoadOptions options)
{
    private readonly Zipf? _zipf = options.Zipf is { } skew ? new(options.Keys, skew) : null;

    public Key this[int index] => Key.From(index.ToString(CultureInfo.InvariantCulture).PadLeft(options.KeyBytes, 'k'));

    public Key Next(Random random) => this[_zipf?.Next(random) ?? random.Next(options.Keys)];

    /// <summary>A value of the size that was asked for, not compressible.</summary>
    public byte[] Value(Random random)
    {
        var value = new byte[options.ValueBytes];
        random.NextBytes(value);
        return value;
    }
}
