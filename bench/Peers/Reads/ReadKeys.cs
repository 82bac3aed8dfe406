using System.Globalization;
using System.Text;

namespace Quicksilver.Peers.Reads;

/// <summary>
/// The keys that every peer holds: 24 bytes, numbers with the same letter in front. Made once, and each peer makes its client's kind of key of
/// them before anything is measured: how fast keys are made is not what is compared.
/// </summary>
internal sealed class ReadKeys(int count)
{
    /// <summary>Keys of one multi-get.</summary>
    public const int PerCall = 64;

    public byte[][] All { get; } = [.. Enumerable.Range(0, count).Select(
        number => Encoding.ASCII.GetBytes(number.ToString(CultureInfo.InvariantCulture).PadLeft(Sizes.KeyBytes, 'k')))];

    /// <summary>Hands out all keys in runs of up to 100, one for each transaction or pipeline, to so many callers.</summary>
    /// <param name="put">Puts the keys from a number on, as many as there are values.</param>
    public Task FillAsync(int callers, Func<int, byte[][], CancellationToken, Task> put, CancellationToken stop) => Parallel.ForEachAsync(
        Enumerable.Range(0, (All.Length + Sizes.PutsOfTransaction - 1) / Sizes.PutsOfTransaction),
        new ParallelOptions { MaxDegreeOfParallelism = callers, CancellationToken = stop },
        async (run, cancellation) =>
        {
            var random = new Random(run);
            var first = run * Sizes.PutsOfTransaction;
            var values = new byte[Math.Min(Sizes.PutsOfTransaction, All.Length - first)][];
            for (var i = 0; i < values.Length; i++)
            {
                values[i] = Sizes.Value(random);
            }

            await put(first, values, cancellation);
        });

    /// <summary>What a read ended with, where it is not what was put.</summary>
    public static InvalidOperationException Wrong(long? length) => new(
        length is { } bytes ? string.Create(CultureInfo.InvariantCulture, $"A read ended with {bytes} bytes.") : "A read ended without a value.");
}
