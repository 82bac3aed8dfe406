using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <content>From committed to applied.</content>
internal sealed partial class EntryLog
{
    /// <summary>
    /// Marks entries committed, after this member's disk has them; returns how many. They are applied soon. A follower hears what the
    /// leader has committed, and that can be more than the leader has told it of: a request carries part of what the follower lacks.
    /// Behind that part there may be entries of a leader before.
    /// </summary>
    public async ValueTask<long> CommitAsync(LogIndex end, CancellationToken cancellation)
    {
        ThrowIfFailed();
        ArgumentOutOfRangeException.ThrowIfGreaterThan(end.Value, Volatile.Read(ref _last));
        var wanted = Math.Min(end.Value, Volatile.Read(ref _agreed));
        await _flushed.WaitAsync(new(wanted), cancellation).ConfigureAwait(false);
        long count;
        lock (_gate)
        {
            wanted = Math.Min(wanted, Math.Min(_agreed, _last));

            // A leader commits what others appended only together with an entry of its own: counted for itself, it can still be
            // replaced. The library sees to that only where a request reaches the end of the log.
            if (_begunTerm == _votes.Term.Value && _tail.TermOf(new(wanted)).Value != _begunTerm)
            {
                return 0;
            }

            count = SetCommitted(wanted);
        }

        if (count > 0)
        {
            _applySignal.Release();
        }

        return count;
    }

    /// <summary>Under <c>_gate</c>. How many entries that were not committed are now.</summary>
    private long SetCommitted(long endIndex)
    {
        var count = endIndex - _committed;
        for (var index = _committed + 1; index <= endIndex; index++)
        {
            _unappliedBytes += _tail.LengthOf(new(index));
        }

        if (count > 0)
        {
            Volatile.Write(ref _committed, endIndex);
        }

        return Math.Max(0, count);
    }

    /// <summary>Completes when this member's disk has an entry.</summary>
    public ValueTask FlushedAsync(LogIndex index, CancellationToken cancellation) => _flushed.WaitAsync(index, cancellation);

    /// <summary>Completes when an entry was applied.</summary>
    public ValueTask AppliedAsync(LogIndex index, CancellationToken cancellation) => _applied.WaitAsync(index, cancellation);

    /// <summary>Completes when the next entry was applied.</summary>
    public ValueTask AppliedNextAsync(CancellationToken cancellation) => _applied.WaitNextAsync(cancellation);

    /// <summary>Waits while more is committed and not applied than may be.</summary>
    public async ValueTask AwaitRoomAsync(CancellationToken token)
    {
        while (Volatile.Read(ref _unappliedBytes) > MaxUnappliedBytes)
        {
            // Asked for before the second look, or the last one to be applied in between would never be heard of.
            var next = _applied.WaitNextAsync(token);
            if (Volatile.Read(ref _unappliedBytes) <= MaxUnappliedBytes)
            {
                return;
            }

            await next.ConfigureAwait(false);
        }
    }

    private async Task ApplyLoopAsync()
    {
        await Task.Yield();
        try
        {
            while (true)
            {
                await _applySignal.WaitAsync(_stop.Token).ConfigureAwait(false);
                while (_applied.Reached.Value < Volatile.Read(ref _committed))
                {
                    await ApplyAsync(new(_applied.Reached.Value + 1)).ConfigureAwait(false);
                    _stop.Token.ThrowIfCancellationRequested();
                }
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // Stopped in order.
        }
        catch (Exception e)
        {
            Fail(e);
        }
    }

    private async ValueTask ApplyAsync(LogIndex index)
    {
        RaftLogEntry? entry = null;
        Term term;
        int? commandId;
        int bytes;
        bool isNeeded;
        lock (_gate)
        {
            if (index <= _tail.Floor.Index)
            {
                // A floor was installed since this was the next one.
                return;
            }

            (term, commandId, bytes) = (_tail.TermOf(index), _tail.CommandIdOf(index), _tail.LengthOf(index));

            // At a start everything above the floor passes by; members of the hub are taken from it again, and the rest is known.
            isNeeded = index > _state.Progress.AppliedIndex || _tail.IsConfiguration(index);
            entry = isNeeded ? _tail.Find(index) : null;
        }

        if (isNeeded)
        {
            entry ??= _store.Read(index);
            if (entry.IsConfiguration)
            {
                await _saveMembers(entry, _stop.Token).ConfigureAwait(false);
            }
        }

        var floor = entry is null ? _machine.Pass(index, term, commandId, bytes) : _machine.Apply(entry);
        lock (_gate)
        {
            _unappliedBytes -= Math.Min(_unappliedBytes, bytes);
            _tail.Unload(index);
            if (floor is { } raised)
            {
                _tail.RaiseFloor(raised);
            }
        }

        _applied.Reach(index);
    }
}
