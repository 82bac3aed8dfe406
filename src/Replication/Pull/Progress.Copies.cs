using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Replication;

/// <content>Copies of a source's state: of everything, or of keyspaces to add.</content>
public sealed partial class Progress
{
    private void OnReceived(Revision at, List<ProgressEffect> effects)
    {
        if (_replaces)
        {
            effects.Add(new ProgressEffect.Install(_attempt, _quarantines));
            return;
        }

        if (_heals)
        {
            // What it would be added to is damaged.
            Bootstrap(effects);
            return;
        }

        _addAt = at;
        if (_own.Position.Revision == at)
        {
            InstallAdded(effects);
        }
        else
        {
            Probe(effects);
        }
    }

    private void InstallAdded(List<ProgressEffect> effects)
    {
        Leave(ProgressState.Bootstrapping);
        effects.Add(new ProgressEffect.Install(_attempt, Quarantine: false, Adds: true));
    }

    /// <summary>A copy of everything takes the place of what is here, and of what was to be added to it.</summary>
    private void Bootstrap(List<ProgressEffect> effects)
    {
        Leave(ProgressState.Bootstrapping);
        (_replaces, _addAt, _copiedFrom) = (true, null, _node);
        effects.Add(new ProgressEffect.Bootstrap(_attempt));
    }

    private void OnDamaged(ProgressEvent.Damaged damaged, List<ProgressEffect> effects)
    {
        (_heals, Trouble) = (true, damaged.Why);
        if (State != ProgressState.Pulling)
        {
            return;
        }

        if (damaged.Again && _copiedFrom == _node && _others > 0)
        {
            LeaveSource(PullProblem.SourceDamaged, $"the copy of the source's state is damaged as well: {damaged.Why}", effects);
            return;
        }

        // A source that has what this replica has.
        Bootstrap(effects);
    }

    private void OnBootstrapFailed(string why, List<ProgressEffect> effects)
    {
        _addAt = null;
        if (_replaces)
        {
            BackOff(PullProblem.BootstrapFailed, $"no copy of the source's state: {why}", effects);
            return;
        }

        _addTrouble = $"no copy of the keyspaces to add (Quicksilver:Keyspaces): {why}";
        if (++_addFailures >= options.FailuresBeforeLeaving && _others > 0 && _linked)
        {
            LeaveSource(PullProblem.BootstrapFailed, _addTrouble, effects);
            return;
        }

        // What is held already must not stand still for it.
        _addPaused = true;
        effects.Add(new ProgressEffect.AddLater(Pause(options.AddPause, options.MaxAddPause, _addTries++)));
        Probe(effects);
    }
}
