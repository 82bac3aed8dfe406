using System.Diagnostics;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Grains;

/// <summary>How a node waits for fresh enough state.</summary>
public sealed record ReadGateOptions
{
    /// <summary>How long a read waits here for the revision it needs before the hub is asked. Default 2 s.</summary>
    public TimeSpan MaxWait { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Says why nothing is to be read from this node, or null.</summary>
    public Func<string?> Withheld { get; init; } = static () => null;

    /// <summary>How long the hub may take to answer a forwarded read. Default 2 s.</summary>
    public TimeSpan ForwardTimeout { get; init; } = TimeSpan.FromSeconds(2);
}

/// <summary>
/// Decides which View answers a read, or that the hub must. A read that asks for nothing newer than the current View passes
/// without waiting.
/// </summary>
public sealed class ReadGate(NodeContext node, IHubReads hub, ReadGateOptions options, TimeProvider time)
{
    /// <summary>What became of a read at the gate: a View to read (the caller disposes it), or a status, or the hub's own answer.</summary>
    private readonly record struct Admission(ReadStatus Status, View? View, bool AskHub);

    /// <summary>
    /// Answers a read: from a View of this node by <paramref name="read"/>, else from the hub by <paramref name="forward"/>,
    /// else with a status by <paramref name="refuse"/>.
    /// </summary>
    public async ValueTask<TAnswer> AnswerAsync<TAnswer>(
        ReadRequirement requirement,
        Func<View, TAnswer> read,
        Func<IGrainFactory, CancellationToken, ValueTask<TAnswer>> forward,
        Func<ReadStatus, AnswerContext, string?, TAnswer> refuse,
        CancellationToken cancellation)
        where TAnswer : class
    {
        using var span = node.Serve(Traces.ServeRead);
        if (options.Withheld() is { } withheld)
        {
            return refuse(ReadStatus.Unavailable, node.Answer(node.Store.Progress), withheld);
        }

        if (!IsKnown(requirement))
        {
            return refuse(ReadStatus.Invalid, node.Answer(node.Store.Progress), $"The read asks for consistency {(byte)requirement.Consistency}, which is unknown to this version.");
        }

        if (Foreign(requirement) is { } problem)
        {
            return refuse(ReadStatus.ForeignPosition, node.Answer(node.Store.Progress), problem);
        }

        var admission = await AdmitAsync(requirement, cancellation);
        if (admission.View is { } view)
        {
            return Read(view, read, refuse);
        }

        if (admission.AskHub && await ForwardAsync(forward, cancellation) is { } answer)
        {
            return answer;
        }

        if (admission.Status == ReadStatus.NotYet && requirement is { AllowStaleWhenCutOff: true, Consistency: ReadConsistency.Session })
        {
            return Read(node.Store.AcquireView(), read, refuse);
        }

        return refuse(admission.Status, node.Answer(node.Store.Progress), null);
    }

    private TAnswer Read<TAnswer>(View view, Func<View, TAnswer> read, Func<ReadStatus, AnswerContext, string?, TAnswer> refuse)
    {
        using (view)
        {
            try
            {
                return read(view);
            }
            catch (StorageException e)
            {
                // Said as an answer: as an exception it would look like a lost call, and be tried again until the deadline.
                return refuse(ReadStatus.Damaged, node.Answer(view.Progress), e.Message);
            }
        }
    }

    /// <summary>False for a consistency of a later version, or none: to answer it as some other one could be less than was asked for.</summary>
    private static bool IsKnown(in ReadRequirement requirement) =>
        requirement.Consistency is ReadConsistency.Session or ReadConsistency.Eventual or ReadConsistency.Linearizable;

    /// <summary>The position asked for is of another cluster or history: what to say, or null.</summary>
    private string? Foreign(in ReadRequirement requirement)
    {
        var progress = node.Store.Progress;
        if (progress.Cluster.IsNone)
        {
            return null;
        }

        if (!requirement.Cluster.IsNone && requirement.Cluster != progress.Cluster)
        {
            return $"The session belongs to cluster {requirement.Cluster}, this node to {progress.Cluster}.";
        }

        return requirement.Consistency == ReadConsistency.Session && requirement.AtLeast.Revision != Revision.None
            && (requirement.AtLeast.History != progress.Position.History || requirement.AtLeast.Log != progress.Position.Log)
            ? $"The session has seen history {requirement.AtLeast.History}, this node is in {progress.Position.History}."
            : null;
    }

    /// <summary>
    /// The View that answers a read at once; null where it has to wait, to be asked elsewhere or to be refused, as <see cref="AnswerAsync"/> does. The
    /// caller disposes it.
    /// </summary>
    public View? TryAdmit(in ReadRequirement requirement) =>
        options.Withheld() is null && IsKnown(requirement) && Foreign(requirement) is null ? AcquireFreshEnough(requirement) : null;

    private ValueTask<Admission> AdmitAsync(in ReadRequirement requirement, CancellationToken cancellation)
    {
        if (AcquireFreshEnough(requirement) is { } view)
        {
            return new(new Admission(ReadStatus.Ok, view, false));
        }

        if (requirement.Consistency != ReadConsistency.Linearizable)
        {
            return AdmitAfterWaitAsync(requirement.AtLeast.Revision, cancellation);
        }

        return node.Role == NodeRole.Hub
            ? AdmitLinearizableAsync(cancellation)
            : new(new Admission(ReadStatus.Unavailable, null, AskHub: true));
    }

    /// <summary>The current View, where it is what the read asks for without any wait.</summary>
    private View? AcquireFreshEnough(in ReadRequirement requirement)
    {
        if (requirement.Consistency == ReadConsistency.Linearizable)
        {
            return null;
        }

        var view = node.Store.AcquireView();
        if (requirement.Consistency == ReadConsistency.Eventual || view.Position.Revision >= requirement.AtLeast.Revision)
        {
            return view;
        }

        view.Dispose();
        return null;
    }

    private async ValueTask<Admission> AdmitLinearizableAsync(CancellationToken cancellation)
    {
        if (await hub.ReadBarrierAsync(cancellation) is not { } barrier)
        {
            return new(ReadStatus.Unavailable, null, false);
        }

        // A leader that dies after it named the barrier leaves its followers waiting for the next one to commit. The read is then
        // to be asked again, with a barrier of the new leader: it is not the caller who asked for too much.
        var admission = await AdmitAfterWaitAsync(barrier, cancellation);
        return admission.Status == ReadStatus.NotYet ? new(ReadStatus.Unavailable, null, false) : admission;
    }

    private async ValueTask<Admission> AdmitAfterWaitAsync(Revision revision, CancellationToken cancellation) =>
        await node.Store.Waiters.WaitAsync(revision, options.MaxWait, time, cancellation) switch
        {
            WaitResult.Reached => new(ReadStatus.Ok, node.Store.AcquireView(), false),
            WaitResult.Full => new(ReadStatus.Overloaded, null, AskHub: false),
            _ => new(ReadStatus.NotYet, null, AskHub: node.Role != NodeRole.Hub),
        };

    /// <summary>The hub's answer; null where it cannot be asked.</summary>
    public async ValueTask<TAnswer?> ForwardAsync<TAnswer>(
        Func<IGrainFactory, CancellationToken, ValueTask<TAnswer>> forward, CancellationToken cancellation)
        where TAnswer : class
    {
        using var span = Traces.StartBelow(Traces.Forward, ActivityKind.Client);
        CarriedTrace.SetCurrent();
        using var limit = new CancellationTokenSource(options.ForwardTimeout, time);
        using var bound = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellation);
        return await hub.ForwardAsync(forward, bound.Token);
    }
}
