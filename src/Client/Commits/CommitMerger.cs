using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client;

/// <summary>Outcomes of the commands that were handed over together, and what the answer said beside them.</summary>
public readonly record struct MergedOutcomes(ArraySegment<CommitOutcome> Outcomes, AnswerContext Context);

/// <summary>
/// Merges what many callers commit at the same time: while one call is on its way, the next gathers; a lone commit goes at once.
/// No timer. Measured 1.5 to 2 times the write rate at 64 callers (bench/README.md).
/// </summary>
/// <param name="send">Sends one call. An exception is the fate of all its commands.</param>
/// <param name="span">How the span of a call is called in a trace.</param>
public sealed class CommitMerger(Func<CommitManyRequest, Task<CommitManyAnswer>> send, string span = Traces.Call)
{
    /// <summary>Most commands that wait for the call before; beyond it the answer is Overloaded.</summary>
    public const int MaxWaitingCommands = 65_536;

    /// <summary>Most bytes of commands that wait.</summary>
    public const long MaxWaitingBytes = 64L << 20;

    /// <summary>What Overloaded tells the caller to wait.</summary>
    private static readonly TimeSpan RetryAfter = TimeSpan.FromMilliseconds(50);

    private readonly Lock _gate = new();
    private readonly Queue<Waiting> _waiting = new();
    private int _waitingCommands;
    private long _waitingBytes;
    private bool _calling;

    private sealed class Waiting(IReadOnlyList<ReadOnlyMemory<byte>> commands, CancellationToken cancellation)
    {
        /// <summary>True where the caller is gone: what was not sent by then is not sent any more.</summary>
        public bool IsAbandoned => cancellation.IsCancellationRequested;

        public IReadOnlyList<ReadOnlyMemory<byte>> Commands { get; } = commands;

        public int Bytes { get; } = commands.Sum(command => command.Length);

        public TraceOrigin? Origin { get; } = TraceOrigin.Now;

        public TaskCompletionSource<MergedOutcomes> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    /// <summary>
    /// Commits commands in this order, possibly together with others'. Cancelling means that the caller stops waiting; they may
    /// be committed all the same. Throws what the call threw.
    /// </summary>
    public Task<MergedOutcomes> CommitAsync(IReadOnlyList<ReadOnlyMemory<byte>> commands, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(commands);
        var waiting = new Waiting(commands, cancellation);
        List<Waiting>? batch = null;
        lock (_gate)
        {
            // A lone one is let in whatever its size: a limit that refuses it for ever would be a dead end.
            if (_waiting.Count > 0 && (_waitingCommands + commands.Count > MaxWaitingCommands || _waitingBytes + waiting.Bytes > MaxWaitingBytes))
            {
                var refused = new CommitOutcome[commands.Count];
                Array.Fill(refused, CommitOutcome.Overloaded(RetryAfter));
                return Task.FromResult(new MergedOutcomes(refused, default));
            }

            _waiting.Enqueue(waiting);
            _waitingCommands += commands.Count;
            _waitingBytes += waiting.Bytes;
            if (!_calling)
            {
                batch = TakeBatch();
                _calling = batch.Count > 0;
            }
        }

        if (batch is not null)
        {
            _ = SendAllAsync(batch);
        }

        return waiting.Done.Task.WaitAsync(cancellation);
    }

    private async Task SendAllAsync(List<Waiting>? batch)
    {
        while (batch is { Count: > 0 })
        {
            await SendAsync(batch).ConfigureAwait(false);

            // Let the callers that were just answered come back with their next commands, or they would split into two
            // alternating halves and batches would be half as large.
            await Task.Yield();
            lock (_gate)
            {
                batch = TakeBatch();
                _calling = batch.Count > 0;
            }
        }
    }

    private async Task SendAsync(List<Waiting> batch)
    {
        using var guarded = CarriedTrace.StartShared(span, batch.ConvertAll(waiting => waiting.Origin));
        var traced = guarded.Span;
        try
        {
            var commands = batch.SelectMany(waiting => waiting.Commands).ToList();
            traced?.SetTag(Traces.CommandsTag, commands.Count);
            var answer = await send(new(CommandBatch.Pack(commands))).ConfigureAwait(false);
            if (answer.Outcomes.Length != commands.Count)
            {
                throw new MalformedDataException($"{commands.Count} commands were answered by {answer.Outcomes.Length} outcomes.");
            }

            var start = 0;
            foreach (var waiting in batch)
            {
                waiting.Done.TrySetResult(new(new(answer.Outcomes, start, waiting.Commands.Count), answer.Context));
                start += waiting.Commands.Count;
            }
        }
        catch (Exception e)
        {
            traced.Fails(e);
            foreach (var waiting in batch)
            {
                waiting.Done.TrySetException(e);
                _ = waiting.Done.Task.Exception;
            }
        }
    }

    private List<Waiting> TakeBatch()
    {
        var batch = new List<Waiting>();
        var commands = 0;
        var bytes = 0;
        while (_waiting.TryPeek(out var next)
            && (batch.Count == 0
                || (commands + next.Commands.Count <= Limits.MaxCommandsPerBatch && bytes + next.Bytes <= Limits.MaxBatchBytes)))
        {
            _waiting.Dequeue();
            _waitingCommands -= next.Commands.Count;
            _waitingBytes -= next.Bytes;
            if (next.IsAbandoned)
            {
                next.Done.TrySetCanceled();
                continue;
            }

            batch.Add(next);
            commands += next.Commands.Count;
            bytes += next.Bytes;
        }

        return batch;
    }
}
