using System.Globalization;
using Quicksilver.Load;

namespace Quicksilver.Peers.Reads;

/// <summary>Reads of each peer in turn, the same keys and the same driver; only one peer's servers run at a time.</summary>
internal sealed class ReadsBench(ReadsOptions options, TimeProvider time)
{
    private const double Skew = 0.99;

    private static readonly int[] GetCallers = [1, 64, 256];
    private static readonly int[] ManyCallers = [1, 16];

    private readonly List<MeasuredRead> _reads = [];
    private readonly List<MixedReads> _mixed = [];
    private readonly Dictionary<string, string> _ways = [];
    private readonly Zipf _zipf = new(options.Keys, Skew);
    private int _seed;

    /// <summary>Measures, and prints tables. Returns 0, or 1 where an operation failed, or 2 where there is no such peer.</summary>
    public async Task<int> RunAsync(CancellationToken stop)
    {
        var keys = new ReadKeys(options.Keys);
        List<(string Name, Func<IReadPeer> Make)> peers =
        [
            ("quicksilver", () => new QuicksilverReader(keys, time)), ("redis", () => new RedisReader(keys)), ("etcd", () => new EtcdReader(keys, time)),
            ("nats", () => new NatsReader(keys, time)),
        ];
        peers.RemoveAll(peer => options.Only is not null && peer.Name != options.Only);
        if (peers.Count == 0)
        {
            await Console.Error.WriteLineAsync($"--only is {options.Only}; reads are measured of quicksilver, redis, etcd and nats.");
            return 2;
        }

        for (var round = 1; round <= options.Rounds; round++)
        {
            // The other way round each second time: what one peer leaves behind does not always meet the same next one.
            foreach (var (name, make) in round % 2 == 1 ? peers : Enumerable.Reverse(peers))
            {
                var directory = Path.Combine(options.Data, $"quicksilver-reads-{Environment.ProcessId}-{name}-{round}");
                Directory.CreateDirectory(directory);
                try
                {
                    await using var peer = make();
                    _ways[name] = peer.Way;
                    await MeasureAsync(name, peer, directory, round, stop);
                }
                finally
                {
                    Directory.Delete(directory, recursive: true);
                }
            }
        }

        ReadsReport.Write(_ways, _reads, _mixed);
        return _reads.Exists(read => read.Cell.Errors > 0) || _mixed.Exists(mixed => mixed.Writes.Errors > 0) ? 1 : 0;
    }

    private async Task MeasureAsync(string name, IReadPeer peer, string directory, int round, CancellationToken stop)
    {
        var start = time.GetTimestamp();
        await peer.StartAsync(directory, stop);
        await SayAsync($"round {round}, {name}: filled after {time.GetElapsedTime(start).TotalSeconds:0} s");

        // Keys and the garbage of filling are the same for all: not in the cells.
        GC.Collect();
        await SayAsync($"round {round}, {name}: each key once: {await ReadAllAsync(peer, stop):0} keys/s");
        await RunAsync(64, options.Settle, null, peer.Get(Uniform), stop);
        foreach (var callers in GetCallers)
        {
            await CellAsync(name, peer, ReadGoal.Get, callers, 1, round, peer.Get(Uniform), stop);
        }

        foreach (var callers in ManyCallers)
        {
            if (peer.GetMany(Uniform) is { } uniform && peer.GetMany(ByZipf) is { } byZipf)
            {
                await CellAsync(name, peer, ReadGoal.ManyUniform, callers, ReadKeys.PerCall, round, uniform, stop);
                await CellAsync(name, peer, ReadGoal.ManyZipf, callers, ReadKeys.PerCall, round, byZipf, stop);
            }
        }

        if (peer.Put(ByZipf) is { } put)
        {
            await MixedAsync(name, peer, round, put, stop);
        }
    }

    /// <summary>Each key once, so that what a peer keeps of what was read is there when it is measured. Returns keys per second.</summary>
    private async Task<double> ReadAllAsync(IReadPeer peer, CancellationToken stop)
    {
        var next = -1;
        int InTurn(Random random) => Interlocked.Increment(ref next) % options.Keys;
        var many = peer.GetMany(InTurn);
        var (callers, keys, operation) = many is null ? (64, 1, peer.Get(InTurn)) : (16, ReadKeys.PerCall, many);
        var start = time.GetTimestamp();
        await Parallel.ForEachAsync(
            Enumerable.Range(0, (options.Keys + keys - 1) / keys),
            new ParallelOptions { MaxDegreeOfParallelism = callers, CancellationToken = stop },
            async (call, _) => await operation(new(call), []));
        return options.Keys / time.GetElapsedTime(start).TotalSeconds;
    }

    private int Uniform(Random random) => random.Next(options.Keys);

    private int ByZipf(Random random) => _zipf.Next(random);

    /// <summary>Reads alone, and beside writes at the hub whose rate is a hundredth of that of the reads alone.</summary>
    private async Task MixedAsync(string name, IReadPeer peer, int round, Operation put, CancellationToken stop)
    {
        const int Callers = 64;
        var alone = await CellAsync(name, peer, ReadGoal.GetZipf, Callers, 1, round, peer.Get(ByZipf), stop);

        // From before the reads begin until after they have ended.
        var writing = RunAsync(Callers, options.Warmup + options.Duration + TimeSpan.FromSeconds(1), alone.Cell.PerSecond / 100, put, stop);
        var mixed = await CellAsync(name, peer, ReadGoal.GetZipfMixed, Callers, 1, round, peer.Get(ByZipf), stop);
        var writes = await writing;
        _mixed.Add(new(alone, mixed, writes));
        await SayAsync($"round {round}, {name}, writes meanwhile: {writes.PerSecond:0}/s, not begun {writes.NotBegun}, errors {writes.Errors} {writes.FirstError}");
    }

    private async Task<MeasuredRead> CellAsync(
        string name, IReadPeer peer, string what, int callers, int keys, int round, Operation operation, CancellationToken stop)
    {
        await RunAsync(callers, options.Warmup, null, operation, stop);
        var before = Usage.Now(peer.Processes);
        var cell = await RunAsync(callers, options.Duration, null, operation, stop);
        var used = Usage.Now(peer.Processes).Since(before);
        if (cell.Latencies.Count == 0)
        {
            throw new InvalidOperationException($"{name}: '{what}' of {callers} callers never ended well. The first error: {cell.FirstError}");
        }

        var read = new MeasuredRead(name, what, callers, keys, round, cell, used);
        _reads.Add(read);
        await SayAsync($"round {round}, {name}, {what}, {callers} callers: {read.KeysPerSecond:0} keys/s, p50 {read.P50 / 1000:0.000} ms, p99 {read.P99 / 1000:0.000} ms, errors {cell.Errors} {cell.FirstError}");
        return read;
    }

    /// <summary>One phase of the driver, with random numbers of its own: keys that were just asked for would flatter every cache.</summary>
    /// <param name="rate">Null for a closed loop.</param>
    private Task<CellResult> RunAsync(int callers, TimeSpan duration, double? rate, Operation operation, CancellationToken stop) => Driver.RunAsync(
        new()
        {
            Scenario = ScenarioKind.Get, Gateways = [], Concurrency = [callers], Seed = ++_seed, Duration = duration, Warmup = TimeSpan.Zero, Rate = rate,
        },
        callers, operation, time, stop);

    private static Task SayAsync(FormattableString text) => Console.Error.WriteLineAsync(text.ToString(CultureInfo.InvariantCulture));
}
