using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Grains;

/// <summary>Views that comparisons hold for a while. Bounded in number and time: a View holds back compaction.</summary>
public sealed class PinnedViews(NodeStore store, TimeProvider time) : IDisposable
{
    private const int MaxPins = 4;

    private readonly Lock _gate = new();
    private readonly Dictionary<long, (View View, long At)> _pins = [];
    private readonly SemaphoreSlim _hashing = new(1);
    private long _last;

    /// <summary>Pins the current View; null where as many as allowed are pinned.</summary>
    public (long Pin, StoreProgress Progress)? Pin()
    {
        lock (_gate)
        {
            ReleaseOld();
            if (_pins.Count >= MaxPins)
            {
                return null;
            }

            var view = store.AcquireView();
            _pins.Add(++_last, (view, time.GetTimestamp()));
            return (_last, view.Progress);
        }
    }

    /// <summary>Hashes a pinned View with the log up to <paramref name="at"/> laid over, and lets the pin go unless it is kept. Null where it is gone.</summary>
    /// <param name="only">The keyspaces to hash beside the catalog; null for all that are held.</param>
    public async Task<StateHashes?> HashAsync(long pin, Revision at, Subscription? only, bool keep, CancellationToken cancellation)
    {
        View view;
        lock (_gate)
        {
            ReleaseOld();
            if (!_pins.TryGetValue(pin, out var pinned))
            {
                return null;
            }

            view = pinned.View;
            if (keep)
            {
                // Its own reference: the pin may be let go meanwhile.
                view.TryAcquire();
            }
            else
            {
                _pins.Remove(pin);
            }
        }

        using (view)
        {
            // One at a time: each reads the whole state.
            await _hashing.WaitAsync(cancellation).ConfigureAwait(false);
            try
            {
                using var log = store.AcquireView();
                return await Task.Run(() => StateHash.Compute(view, log, at, cancellation, only), cancellation).ConfigureAwait(false);
            }
            finally
            {
                _hashing.Release();
            }
        }
    }

    private void ReleaseOld()
    {
        foreach (var (pin, pinned) in _pins.Where(pinned => time.GetElapsedTime(pinned.Value.At) > INodeGrain.PinLifetime).ToList())
        {
            pinned.View.Dispose();
            _pins.Remove(pin);
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            foreach (var pinned in _pins.Values)
            {
                pinned.View.Dispose();
            }

            _pins.Clear();
        }

        _hashing.Dispose();
    }
}
