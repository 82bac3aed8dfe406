namespace Quicksilver.InProcess;

/// <summary>What one cell came to.</summary>
/// <param name="PerSecond">Reads of all threads together.</param>
/// <param name="BytesPerRead">Allocated by the reading threads.</param>
internal readonly record struct Cell(double PerSecond, double BytesPerRead)
{
    /// <summary>Reads between two looks at the clock.</summary>
    private const int Stride = 256;

    /// <summary>Lets each thread read keys at random, in a closed loop, for so long; a part of it before counts for nothing.</summary>
    public static Cell Measure(int threads, TimeSpan duration, Func<IReader> make, int keys, int seed, TimeProvider time)
    {
        var results = new (long Reads, long Bytes, TimeSpan Took)[threads];
        Exception? failure = null;
        using var together = new Barrier(threads);
        var running = Enumerable.Range(0, threads).Select(thread => new Thread(() =>
        {
            try
            {
                var (reader, random) = (make(), new Random(seed + thread));
                together.SignalAndWait();
                Read(reader, random, duration / 5);
                together.SignalAndWait();
                results[thread] = Read(reader, random, duration);
            }
            catch (Exception e)
            {
                // A thread that ends with an exception would end the process; the others must not wait for it.
                failure = e;
                together.RemoveParticipant();
            }
        })).ToList();
        running.ForEach(thread => thread.Start());
        running.ForEach(thread => thread.Join());
        return failure is null
            ? new(results.Sum(result => result.Reads / result.Took.TotalSeconds), results.Sum(result => result.Bytes) / (double)results.Sum(result => result.Reads))
            : throw new InvalidOperationException("A reader failed.", failure);

        (long Reads, long Bytes, TimeSpan Took) Read(IReader reader, Random random, TimeSpan longest)
        {
            var (start, before) = (time.GetTimestamp(), GC.GetAllocatedBytesForCurrentThread());
            for (long reads = 0; ;)
            {
                for (var i = 0; i < Stride; i++)
                {
                    if (!reader.Read(random.Next(keys)))
                    {
                        throw new InvalidOperationException("A value is not what was written.");
                    }
                }

                reads += Stride;
                if (time.GetElapsedTime(start) is var took && took >= longest)
                {
                    return (reads, GC.GetAllocatedBytesForCurrentThread() - before, took);
                }
            }
        }
    }
}
