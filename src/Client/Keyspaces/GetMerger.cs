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

    /// <summary>How many gets are refused between two looks for those whose callers are gone: a look costs as much as that many refusals.</summary>
    private const int RefusalsPerLook = 1_024;

    private readonly Lock _gate = new();
    private readonly Queue<Waiting> _waiting = new();
    private int _calls;
    private int _refusals;

    private sealed class Waiting(Key key, Deadline deadline, CancellationToken cancellation) : TaskCompletionSource<Entry?>(TaskCreationOptions.RunContinuationsAsynchronously)
    {
        public Key Key { get; } = key;

        public Deadline Deadline { get; } = deadline;

        /// <summary>True where the caller is gone: what was not asked for by then is not asked for any more.</summary>
        public bool IsAbandoned => cancellation.IsCancellationRequested;

        /// <summary>True while there is time for another call: more than the longest pause between two tries, or a fourth of a deadline that is short.</summary>
        public bool HasTime => Deadline.Left > (Deadline.Limit / 4 < Backoff.Max ? Deadline.Limit / 4 : Backoff.Max);

        public TraceOrigin? Origin { get; } = TraceOrigin.Now;
    }

    /// <summary>
    /// Reads a key, possibly together with others'. Cancelling means that the caller stops waiting, and its place is free again. Throws what the call
    /// threw.
    /// </summary>
    public ValueTask<Entry?> GetAsync(Key key, Deadline deadline, CancellationToken cancellation)
    {
        Waiting? waiting = null;
        lock (_gate)
        {
            if (_calls < MaxCalls && _waiting.Count == 0)
            {
                _calls++;
            }
            else if (HasRoom())
            {
                _waiting.Enqueue(waiting = new(key, deadline, cancellation));
            }
            else
            {
                throw new QuicksilverException(
                    QuicksilverErrorCode.Overloaded, $"{MaxWaiting} gets of this client wait already. Ask again later, and for many keys with GetManyAsync.")
                {
                    RetryAfter = TimeSpan.FromMilliseconds(50),
                };
            }
        }

        return waiting is null ? GetAloneAsync(key, deadline, cancellation) : new(cancellation.CanBeCanceled ? waiting.Task.WaitAsync(cancellation) : waiting.Task);
    }

    /// <summary>Under the lock. Gets whose callers are gone make room, but are not looked for at each refusal.</summary>
    private bool HasRoom()
    {
        if (_waiting.Count < MaxWaiting)
        {
            return true;
        }

        if (_refusals++ % RefusalsPerLook != 0)
        {
            return false;
        }

        for (var left = _waiting.Count; left > 0; left--)
        {
            var next = _waiting.Dequeue();
            if (!next.IsAbandoned)
            {
                _waiting.Enqueue(next);
            }
        }

        return _waiting.Count < MaxWaiting;
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

    /// <summary>Until all of a batch have an answer or have failed: one call after the other, as they take no more than one place of those that there are.</summary>
    private async Task ReadAsync(List<Waiting> batch)
    {
        while (batch.Count > 0)
        {
            var left = await ReadOnceAsync(batch).ConfigureAwait(false);
            if (left.Count == 1 || left.Count == batch.Count)
            {
                foreach (var waiting in left)
                {
                    await GetAgainAsync(waiting).ConfigureAwait(false);
                }

                return;
            }

            batch = left;
        }
    }

    /// <summary>One call for many; returns those that have to be read in another one.</summary>
    private async Task<List<Waiting>> ReadOnceAsync(List<Waiting> batch)
    {
        using var guarded = CarriedTrace.StartShared(Traces.Call, batch.ConvertAll(waiting => waiting.Origin));
        var traced = guarded.Span;
        traced?.SetTag(Traces.KeysTag, batch.Count);
        try
        {
            // The first has waited longest: the calls before it ended within its time.
            var entries = new Entry?[batch.Count];
            var again = await many(batch.ConvertAll(waiting => waiting.Key), entries, batch[0].Deadline).ConfigureAwait(false);
            for (var i = 0; i < batch.Count; i++)
            {
                if (again.Count == 0 || !again.Contains(i))
                {
                    batch[i].TrySetResult(entries[i]);
                }
            }

            // Values too large for the answer that they were to be in.
            return [.. again.Select(i => batch[i])];
        }
        catch (Exception e)
        {
            traced.Fails(e);

            // The time of the first is over, and those that came later have more of it.
            var wasOutOfTime = e is QuicksilverException { IsTransient: true } && batch[0].Deadline.Left <= Backoff.Max;
            var left = wasOutOfTime ? batch.FindAll(waiting => waiting != batch[0] && waiting.HasTime && !waiting.IsAbandoned) : [];
            foreach (var waiting in batch.Except(left))
            {
                Fail(waiting, e);
            }

            return left;
        }
    }

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
            var batch = new List<Waiting>(Math.Min(_waiting.Count, MaxKeys));
            for (var bytes = 0; batch.Count < MaxKeys && _waiting.TryPeek(out var next); _waiting.Dequeue())
            {
                if (next.IsAbandoned)
                {
                    continue;
                }

                bytes += next.Key.Span.Length;
                if (bytes > MaxKeyBytes && batch.Count > 0)
                {
                    break;
                }

                batch.Add(next);
            }

            if (batch.Count == 0)
            {
                _calls--;
                return null;
            }

            return batch;
        }
    }
}
