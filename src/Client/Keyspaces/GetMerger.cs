using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client;

/// <summary>
/// Merges gets that callers make at the same time: while two calls are on their way, the next gathers; a get that meets less goes straight. No
/// timer. For the gets of one keyspace that ask for the same freshness.
/// </summary>
/// <param name="one">Reads one key.</param>
/// <param name="many">Reads many into as many places, and returns which did not fit. An exception is the fate of all.</param>
internal sealed class GetMerger(
    Func<Key, Deadline, CancellationToken, ValueTask<Entry?>> one, Func<IReadOnlyList<Key>, Entry?[], Deadline, Task<IReadOnlyList<int>>> many)
{
    /// <summary>Calls on their way at the same time. One is answered while the other is made; more would be smaller.</summary>
    public const int MaxCalls = 2;

    /// <summary>Most keys of one call.</summary>
    public const int MaxKeys = 512;

    /// <summary>Most bytes of keys of one call.</summary>
    public const int MaxKeyBytes = 64 * 1024;

    /// <summary>Most gets that wait for the calls before; beyond it the answer is Overloaded.</summary>
    public const int MaxWaiting = 65_536;

    private readonly Lock _gate = new();
    private readonly Queue<Waiting> _waiting = new();
    private int _calls;

    private sealed class Waiting(Key key, Deadline deadline) : TaskCompletionSource<Entry?>(TaskCreationOptions.RunContinuationsAsynchronously)
    {
        public Key Key { get; } = key;

        public Deadline Deadline { get; } = deadline;

        public TraceOrigin Origin { get; } = TraceOrigin.Now;
    }

    /// <summary>Reads a key, possibly together with others'. Cancelling means that the caller stops waiting. Throws what the call threw.</summary>
    public ValueTask<Entry?> GetAsync(Key key, Deadline deadline, CancellationToken cancellation)
    {
        Waiting waiting;
        lock (_gate)
        {
            if (_calls < MaxCalls && _waiting.Count == 0)
            {
                _calls++;
                return GetAloneAsync(key, deadline, cancellation);
            }

            if (_waiting.Count >= MaxWaiting)
            {
                throw new QuicksilverException(QuicksilverErrorCode.Overloaded, $"{MaxWaiting} gets of this client wait already.")
                {
                    RetryAfter = TimeSpan.FromMilliseconds(50),
                };
            }

            _waiting.Enqueue(waiting = new(key, deadline));
        }

        return new(cancellation.CanBeCanceled ? waiting.Task.WaitAsync(cancellation) : waiting.Task);
    }

    private async ValueTask<Entry?> GetAloneAsync(Key key, Deadline deadline, CancellationToken cancellation)
    {
        try
        {
            return await one(key, deadline, cancellation).ConfigureAwait(false);
        }
        finally
        {
            if (TakeBatch() is { } batch)
            {
                _ = ReadAllAsync(batch);
            }
        }
    }

    private async Task ReadAllAsync(List<Waiting>? batch)
    {
        for (; batch is not null; batch = TakeBatch())
        {
            await ReadAsync(batch).ConfigureAwait(false);

            // Let the callers that were just answered come back with their next gets, or calls would be half as large.
            await Task.Yield();
        }
    }

    private async Task ReadAsync(List<Waiting> batch)
    {
        using var traced = CarriedTrace.StartShared(Traces.Call, batch.ConvertAll(waiting => waiting.Origin));
        traced?.SetTag(Traces.KeysTag, batch.Count);
        try
        {
            // The first has waited longest: the calls before it ended within its time.
            var entries = new Entry?[batch.Count];
            var again = await many(batch.ConvertAll(waiting => waiting.Key), entries, batch[0].Deadline).ConfigureAwait(false);
            for (var i = 0; i < batch.Count; i++)
            {
                if (again.Contains(i))
                {
                    _ = GetAgainAsync(batch[i]);
                }
                else
                {
                    batch[i].TrySetResult(entries[i]);
                }
            }
        }
        catch (Exception e)
        {
            traced.Fails(e);
            foreach (var waiting in batch)
            {
                Fail(waiting, e);
            }
        }
    }

    /// <summary>A value too large for the answer that it was to be in.</summary>
    private async Task GetAgainAsync(Waiting waiting)
    {
        try
        {
            waiting.TrySetResult(await one(waiting.Key, waiting.Deadline, CancellationToken.None).ConfigureAwait(false));
        }
        catch (Exception e)
        {
            Fail(waiting, e);
        }
    }

    private static void Fail(Waiting waiting, Exception e)
    {
        waiting.TrySetException(e);

        // Whoever stopped waiting does not look.
        _ = waiting.Task.Exception;
    }

    /// <summary>What waits; null where nothing does, and then there is one call less.</summary>
    private List<Waiting>? TakeBatch()
    {
        lock (_gate)
        {
            if (_waiting.Count == 0)
            {
                _calls--;
                return null;
            }

            var batch = new List<Waiting>(Math.Min(_waiting.Count, MaxKeys));
            for (var bytes = 0; batch.Count < MaxKeys && _waiting.TryPeek(out var next);)
            {
                bytes += next.Key.Span.Length;
                if (bytes > MaxKeyBytes && batch.Count > 0)
                {
                    break;
                }

                batch.Add(_waiting.Dequeue());
            }

            return batch;
        }
    }
}
