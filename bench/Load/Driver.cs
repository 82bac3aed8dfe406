using System.Threading.Channels;
using HdrHistogram;

namespace Quicksilver.Load;

/// <summary>One operation of a caller; records its latencies itself where it has several kinds.</summary>
/// <param name="random">Of this caller.</param>
/// <returns>What the operation was, for example <c>get</c>; null where it has recorded everything itself.</returns>
internal delegate ValueTask<string?> Operation(Random random, Dictionary<string, LongHistogram> latencies);

/// <summary>
/// Runs callers and measures them. In a closed loop each begins its next operation when the last has ended: the usual figure for
/// throughput, and one whose latencies leave out the time that operations were not begun because others were slow (coordinated
/// omission). At a fixed rate each operation has an intended start, and its latency counts from there, whoever was slow before it.
/// </summary>
internal static class Driver
{
    public static async Task<CellResult> RunAsync(LoadOptions options, int concurrency, Operation operation, TimeProvider time, CancellationToken stop)
    {
        await PhaseAsync(options, concurrency, options.Warmup, operation, new(), options.Seed, time, stop).ConfigureAwait(false);

        var recorder = new Recorder();
        var (cpu, allocated, pause) = (Environment.CpuUsage.TotalTime, GC.GetTotalAllocatedBytes(), GC.GetTotalPauseDuration());
        var start = time.GetTimestamp();
        var notBegun = await PhaseAsync(
            options, concurrency, options.Duration, operation, recorder, options.Seed + (1_000 * concurrency), time, stop).ConfigureAwait(false);
        var seconds = time.GetElapsedTime(start).TotalSeconds;
        var clientCpu = (Environment.CpuUsage.TotalTime - cpu).TotalSeconds / seconds;
        var (bytes, paused) = (GC.GetTotalAllocatedBytes() - allocated, (GC.GetTotalPauseDuration() - pause).TotalMilliseconds / seconds);
        var latencies = recorder.Sum();
        var count = latencies.Where(kind => !kind.Name.Contains("visible", StringComparison.Ordinal)).Sum(kind => kind.Count);
        return new(
            options.Scenario.ToString(), options.Rate is { } rate ? $"fixed rate {rate:0}/s" : "closed loop", concurrency, seconds,
            count / seconds, notBegun, recorder.Errors, recorder.FirstError, clientCpu, (double)bytes / Math.Max(1, count), paused, latencies);
    }

    /// <param name="seed">Another one for each phase: keys that were just asked for would flatter every cache.</param>
    /// <returns>Operations whose intended start passed without a caller that was free.</returns>
    private static async Task<long> PhaseAsync(
        LoadOptions options, int concurrency, TimeSpan duration, Operation operation, Recorder recorder, int seed, TimeProvider time, CancellationToken stop)
    {
        var start = time.GetTimestamp();
        var starts = options.Rate is { } rate ? Schedule(rate, start, duration, time, stop) : null;
        await Task.WhenAll(Enumerable.Range(0, concurrency).Select(caller => Task.Run(
            async () =>
            {
                var random = new Random((seed * 100_003) + caller);
                var latencies = recorder.NewCaller();
                while (time.GetElapsedTime(start) < duration && !stop.IsCancellationRequested)
                {
                    var intended = time.GetTimestamp();
                    if (starts is not null)
                    {
                        if (!await starts.WaitToReadAsync(stop).ConfigureAwait(false))
                        {
                            return;
                        }

                        if (!starts.TryRead(out intended))
                        {
                            continue;
                        }
                    }

                    try
                    {
                        if (await operation(random, latencies).ConfigureAwait(false) is { } name)
                        {
                            Recorder.Record(latencies, name, time.GetElapsedTime(intended));
                        }
                    }
                    catch (Exception e) when (e is not OutOfMemoryException && !stop.IsCancellationRequested)
                    {
                        // Counted and shown: a run with errors says nothing about speed.
                        recorder.Fail(e);
                    }
                }
            },
            stop))).ConfigureAwait(false);
        long left = 0;
        while (starts?.TryRead(out _) == true)
        {
            left++;
        }

        return left;
    }

    /// <summary>
    /// Intended starts, handed out when they are due. The timer is coarse: an operation may begin about a millisecond late, and that
    /// counts as its latency.
    /// </summary>
    private static ChannelReader<long> Schedule(double rate, long start, TimeSpan duration, TimeProvider time, CancellationToken stop)
    {
        var starts = Channel.CreateUnbounded<long>(new() { SingleWriter = true });
        _ = Task.Run(
            async () =>
            {
                using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(1), time);
                for (long ticket = 0; ticket < rate * duration.TotalSeconds;)
                {
                    for (var due = time.GetElapsedTime(start).TotalSeconds * rate; ticket <= due && ticket < rate * duration.TotalSeconds; ticket++)
                    {
                        starts.Writer.TryWrite(start + (long)(ticket / rate * time.TimestampFrequency));
                    }

                    await timer.WaitForNextTickAsync(stop).ConfigureAwait(false);
                }

                starts.Writer.Complete();
            },
            stop);
        return starts.Reader;
    }
}
