using Quicksilver.Model;

namespace Quicksilver.Replication;

/// <content>A source that is the wrong one, or that this replica has reason to doubt.</content>
public sealed partial class Progress
{
    /// <summary>Longest way to the hub that a source may name: far beyond any tree.</summary>
    private const int MaxPath = 32;

    // Sources that have other records at the position in _own, and what they have there.
    private readonly Dictionary<NodeId, Contradiction> _against = [];

    private sealed record Contradiction(LogPosition Own, HistoryId History, ChainHash Chain, NodeId[] Path);

    /// <summary>Notes the source's way to the hub; false where this node is on it, or it is none, and the source was left.</summary>
    private bool TakePath(NodeId[]? path, List<ProgressEffect> effects)
    {
        if (path is null || path.Length > MaxPath)
        {
            LeaveOrWait(PullProblem.WrongSource, "the source names no way to the hub", effects);
            return false;
        }

        if (self != default && path.Contains(self))
        {
            LeaveOrWait(PullProblem.Cycle, "the source pulls from this node", effects);
            return false;
        }

        Path = path;
        return true;
    }

    /// <summary>
    /// This source has other records at this replica's position. One of the two is wrong, and nothing is given up on the word of one.
    /// </summary>
    private void OnDiverged(OpenPullAnswer answer, List<ProgressEffect> effects)
    {
        var why = $"at revision {_own.Position.Revision} this replica and its source have different histories";
        Source = answer.Source;
        foreach (var stale in _against.Where(said => said.Value.Own != _own.Position).Select(said => said.Key).ToList())
        {
            _against.Remove(stale);
        }

        var now = new Contradiction(_own.Position, answer.Source.History, answer.Chain, answer.Path ?? []);
        _against[_node] = now;
        if (_against.Any(said => said.Key != _node && IsIndependent(said.Key, said.Value, now) && (said.Value.History, said.Value.Chain) == (now.History, now.Chain)))
        {
            Bootstrap(effects);
            _quarantines = true;
        }
        else if (_against.Count <= _others)
        {
            LeaveSource(PullProblem.Diverged, why, effects);
        }
        else
        {
            Stop(StopReason.Diverged, why);
        }
    }

    /// <summary>True where two sources know what they say from two places. One whose path is only itself is the hub, or has nobody at the moment.</summary>
    private bool IsIndependent(NodeId other, Contradiction theirs, Contradiction now) =>
        now.Chain != ChainHash.Empty && !theirs.Path.Contains(_node) && !now.Path.Contains(other) && (theirs.Path.Length > 1 || now.Path.Length > 1);

    private void LeaveOrStop(StopReason reason, string why, List<ProgressEffect> effects)
    {
        if (_others > 0)
        {
            LeaveSource(PullProblem.WrongSource, why, effects);
        }
        else
        {
            Stop(reason, why);
        }
    }

    private void LeaveOrWait(PullProblem problem, string why, List<ProgressEffect> effects)
    {
        if (_others > 0)
        {
            LeaveSource(problem, why, effects);
        }
        else
        {
            BackOff(problem, why, effects);
        }
    }

    private void LeaveSource(PullProblem problem, string why, List<ProgressEffect> effects)
    {
        Leave(ProgressState.Disconnected);
        (Problem, Trouble) = (problem, why);
        _failuresHere = 0;
        effects.Add(new ProgressEffect.LeaveSource(FaultOf(problem), why));
    }

    private static SourceFault FaultOf(PullProblem problem) => problem switch
    {
        PullProblem.PageRefused => SourceFault.Refused,
        PullProblem.SourceBehind => SourceFault.Behind,
        PullProblem.SourceUnavailable => SourceFault.Unavailable,
        PullProblem.BootstrapFailed => SourceFault.Unavailable,
        PullProblem.SourceDamaged => SourceFault.Damaged,
        PullProblem.Diverged => SourceFault.Diverged,
        PullProblem.WrongSource => SourceFault.Wrong,
        PullProblem.Cycle => SourceFault.Cycle,
        PullProblem.NotHeld => SourceFault.Wrong,
        _ => SourceFault.Failing,
    };
}
