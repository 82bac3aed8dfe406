using System.Globalization;
using CsCheck;

namespace Quicksilver.Replication.Tests;

/// <summary>
/// Goal: whatever bytes come from another process or from a disk, a decoder reads them or throws what it promises, and takes no more memory than
/// a multiple of them. Method: valid inputs of a real hub with one to eight changes each, and any bytes; a failure is made smaller, and prints
/// the command that shows it again.
/// </summary>
public sealed class FuzzTests(FuzzCorpus corpus) : IClassFixture<FuzzCorpus>
{
    /// <summary>Of each decoder; of all of them about 20,000.</summary>
    private const int Runs = 1_200;

    private const int AnyRuns = 150;

    /// <summary>What a refusal costs, beside what grows with the input.</summary>
    private const long BaseBytes = 256 * 1024;

    private const long BytesPerByte = 64;

    public static TheoryData<string> Decoders => [.. FuzzCorpus.Names];

    [Fact]
    public void Every_input_is_read_before_it_is_changed()
    {
        foreach (var name in FuzzCorpus.Names)
        {
            foreach (var input in corpus.Find(name).Inputs)
            {
                input.Read(input.Bytes);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Decoders))]
    public void Changed_bytes_are_read_or_refused_as_promised(string decoder) => RunChanged(decoder, Runs);

    [Fact(Explicit = true)]
    public void Changed_bytes_are_read_or_refused_as_promised_a_million_times()
    {
        var runs = long.Parse(Environment.GetEnvironmentVariable("QS_SOAK") ?? "1000000", CultureInfo.InvariantCulture);
        foreach (var name in FuzzCorpus.Names)
        {
            RunChanged(name, 1 + (runs / FuzzCorpus.Names.Length));
        }
    }

    [Theory]
    [MemberData(nameof(Decoders))]
    public void Any_bytes_are_read_or_refused_as_promised(string decoder)
    {
        var target = corpus.Find(decoder);
        Replayable(nameof(Any_bytes_are_read_or_refused_as_promised), () => Gen.Byte.Array[0, 300].Sample(
            bytes => Judge(target, target.Inputs[0], bytes), iter: AnyRuns, threads: 1, print: bytes => $"{decoder}: {Convert.ToHexStringLower(bytes)}"));
    }

    private void RunChanged(string decoder, long runs)
    {
        var target = corpus.Find(decoder);
        var inputs = Array.ConvertAll(target.Inputs, input => input.Bytes);

        // The same name for the soak: a seed means the same in both, and this one takes a second.
        Replayable(nameof(Changed_bytes_are_read_or_refused_as_promised), () => Gen.Select(Gen.Int[0, inputs.Length - 1], FuzzChange.Some).Sample(
            (index, changes) => Judge(target, target.Inputs[index], FuzzChange.ApplyAll(inputs[index], changes, inputs)),
            iter: runs, threads: 1,
            print: run => $"{decoder}, input {run.Item1}, {string.Join(", ", run.Item2)}: {Convert.ToHexStringLower(FuzzChange.ApplyAll(inputs[run.Item1], run.Item2, inputs))}"));
    }

    private static void Judge(FuzzTarget target, FuzzInput input, byte[] bytes)
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        try
        {
            input.Read(bytes);
        }
        catch (Exception e)
        {
            if (Array.IndexOf(target.Refusals, e.GetType()) < 0)
            {
                // With its type, and where it came from: the library shows the message alone.
                Assert.Fail($"Not what the decoder promises: {e}");
            }
        }

        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        var limit = BaseBytes + target.FixedBytes + (BytesPerByte * bytes.Length);
        if (allocated > limit)
        {
            Assert.Fail($"{bytes.Length} bytes cost {allocated} bytes of memory; the limit is {limit}.");
        }
    }

    private static void Replayable(string test, Action sample)
    {
        try
        {
            sample();
        }
        catch (CsCheckException e)
        {
            // Set seed: "SEED" or ...
            var seed = e.Message.Split('"')[1];
            throw new InvalidOperationException(
                $"{e.Message}\nReplay: CsCheck_Seed={seed} dotnet run -c Release --project tests/Replication.Tests -- -method '*.{test}'", e);
        }
    }
}
