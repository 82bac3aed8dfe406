using Microsoft.Extensions.Logging;
using Quicksilver.Model;

namespace Quicksilver.Sequencing;

/// <content>Changes of the members, and of who leads.</content>
public sealed partial class HubEngine
{
    /// <summary>How long the leader works on one request to become a member; the newcomer asks again then.</summary>
    private static readonly TimeSpan AddTimeout = TimeSpan.FromSeconds(60);

    /// <summary>How long what was taken may take to finish before a leader hands over.</summary>
    private static readonly TimeSpan DrainTimeout = TimeSpan.FromSeconds(3);

    private readonly Lock _gate = new();

    // One change at a time. The library makes the next set of members from the one that is applied when it begins, and a change in
    // between would be undone by it.
    private readonly SemaphoreSlim _changing = new(1);
    private Task _adding = Task.CompletedTask;
    private Task _aside = Task.CompletedTask;

    /// <inheritdoc/>
    public AgreedMembers Agreed => _members.Agreed;

    /// <inheritdoc/>
    public bool Knows(NodeId node) => _members.Find(node) is not null;

    /// <inheritdoc/>
    public void BeginAdd(NodeId node)
    {
        lock (_gate)
        {
            if (_adding.IsCompleted && Raft.Leadership.IsLeader && !_members.Contains(node))
            {
                _adding = AddAsync(node);
            }
        }
    }

    private async Task AddAsync(NodeId node)
    {
        await Task.Yield();
        using var limit = new CancellationTokenSource(AddTimeout, _time);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, _stop.Token);
        try
        {
            await ChangeAsync(
                async agreed =>
                {
                    if (agreed.Invited.FirstOrDefault(member => member.Node == node) is not { } newcomer)
                    {
                        LogNotAdded(node, "it is not invited");
                    }
                    else if (agreed.Members.Count >= HubSize.Max)
                    {
                        // It was a member when it was invited, and is to be removed first.
                        LogNotAdded(node, HubSize.Refusal(node, agreed.Members));
                    }
                    else
                    {
                        LogAdding(node);
                        if (!await Raft.AddMemberAsync(newcomer, linked.Token).ConfigureAwait(false))
                        {
                            LogNotAdded(node, "it did not get level with this log");
                        }
                    }

                    return null;
                },
                linked.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // Whatever it was, the newcomer asks again, where it must.
            LogNotAdded(node, e.Message);
        }
    }

    /// <inheritdoc/>
    public Task<string?> InviteAsync(HubMember newcomer, CancellationToken cancellation) => ChangeAsync(
        async agreed =>
        {
            if (agreed.Members.Contains(newcomer))
            {
                return null;
            }

            if (agreed.Members.Concat(agreed.Invited.Where(other => other.Node != newcomer.Node))
                .FirstOrDefault(other => other.Node == newcomer.Node || other.Endpoint.Equals(newcomer.Endpoint)) is { } other)
            {
                return other.Node == newcomer.Node
                    ? $"'{other.Node}' is a member at {other.Endpoint}. To move it to {newcomer.Endpoint}, remove it first ('qs hub remove {other.Node}')."
                    : $"{newcomer.Endpoint} belongs to '{other.Node}'. Give '{newcomer.Node}' another one, or remove '{other.Node}' first ('qs hub remove {other.Node}').";
            }

            return await AllowAsync(agreed, newcomer, cancellation).ConfigureAwait(false);
        },
        cancellation);

    /// <inheritdoc/>
    public Task<string?> RemoveAsync(NodeId node, bool invite, CancellationToken cancellation) => ChangeAsync(
        async agreed =>
        {
            var member = agreed.Members.FirstOrDefault(member => member.Node == node);
            if (node == _options.Self)
            {
                return $"'{node}' leads, and does not remove itself.";
            }

            if (member is not null && agreed.Members.Count < HubSize.Max)
            {
                return $"The hub has {agreed.Members.Count} members; without '{node}' it could lose what it acknowledged. Bring the other one back, or add another, first.";
            }

            if (invite)
            {
                // Order matters: whoever is removed for a repair is invited already, also where this leader dies in between. At its place
                // of now; where it has none, at the one that is configured.
                if ((member ?? _members.Find(node)) is not { } place)
                {
                    return $"The hub does not know where '{node}' is. Use 'qs hub add {node} --endpoint IP:PORT'.";
                }

                if (await AllowAsync(agreed, place, cancellation).ConfigureAwait(false) is { } refusal)
                {
                    return refusal;
                }
            }
            else if (agreed.Invited.Any(other => other.Node == node))
            {
                LogWithdrawing(node);
                await Raft.ReplaceInvitationsAsync([.. agreed.Invited.Where(other => other.Node != node)], cancellation).ConfigureAwait(false);
            }

            if (member is not null)
            {
                LogRemoving(node);
                await Raft.RemoveMemberAsync(member, cancellation).ConfigureAwait(false);
            }

            return null;
        },
        cancellation);

    private async Task<string?> AllowAsync(AgreedMembers agreed, HubMember newcomer, CancellationToken cancellation)
    {
        if (agreed.Invited.Contains(newcomer))
        {
            return null;
        }

        var others = agreed.Members.Concat(agreed.Invited).Where(other => other.Node != newcomer.Node).DistinctBy(other => other.Node).ToList();
        if (others.Count >= HubSize.Max)
        {
            return HubSize.Refusal(newcomer.Node, others);
        }

        LogInviting(newcomer.Node, newcomer.Endpoint.ToString());
        await Raft.ReplaceInvitationsAsync([.. agreed.Invited.Where(other => other.Node != newcomer.Node), newcomer], cancellation).ConfigureAwait(false);
        return null;
    }

    /// <summary>
    /// One change of the members at a time, made of what is agreed on: everything in the log is applied first, or a change that is agreed
    /// on and not applied yet would be left out, and two at once can lose a majority.
    /// </summary>
    private async Task<string?> ChangeAsync(Func<AgreedMembers, Task<string?>> change, CancellationToken cancellation)
    {
        if (!await _changing.WaitAsync(TimeSpan.Zero, cancellation).ConfigureAwait(false))
        {
            throw new InvalidOperationException("Another change of the members is under way.");
        }

        try
        {
            return await Raft.ReadBarrierAsync(cancellation).ConfigureAwait(false)
                ? await change(Agreed).ConfigureAwait(false)
                : throw new InvalidOperationException($"'{_options.Self}' does not lead.");
        }
        finally
        {
            _changing.Release();
        }
    }

    /// <inheritdoc/>
    public Task<string?> HandOverAsync(CancellationToken cancellation) => ChangeAsync(
        async agreed =>
        {
            if (agreed.Members.Count < 2)
            {
                return "A hub of one has nobody to hand the leadership over to.";
            }

            using var limit = new CancellationTokenSource(DrainTimeout, _time);
            using var linked = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellation);
            try
            {
                await Sequencer.PauseAsync(linked.Token).ConfigureAwait(false);
                LogHandingOver();
                await Raft.ResignAsync(cancellation).ConfigureAwait(false);
                BeginStandAside();
                return null;
            }
            finally
            {
                // Leading again or not, it must not go on refusing.
                Sequencer.Resume();
            }
        },
        cancellation);

    /// <inheritdoc/>
    public void BeginStandAside()
    {
        lock (_gate)
        {
            if (_aside.IsCompleted)
            {
                _aside = StandAsideAsync(Raft.Leadership.Leader ?? _options.Self);
            }
        }
    }

    private async Task StandAsideAsync(NodeId present)
    {
        await Task.Yield();
        try
        {
            await Raft.StandAsideAsync(present, _stop.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            LogNotAside(e.Message);
        }
    }

    /// <summary>After <c>_stop</c>: what was begun here has ended.</summary>
    private async Task EndChangesAsync()
    {
        await _adding.ConfigureAwait(false);
        await _aside.ConfigureAwait(false);
    }

    [LoggerMessage(6, LogLevel.Information, "Making '{Node}' a member of the hub.")]
    private partial void LogAdding(NodeId node);

    [LoggerMessage(7, LogLevel.Warning, "'{Node}' was not made a member of the hub: {Why}")]
    private partial void LogNotAdded(NodeId node, string why);

    [LoggerMessage(8, LogLevel.Warning, "Taking '{Node}' out of the hub.")]
    private partial void LogRemoving(NodeId node);

    [LoggerMessage(9, LogLevel.Information, "Inviting '{Node}' at {Endpoint} to become a member of the hub.")]
    private partial void LogInviting(NodeId node, string endpoint);

    [LoggerMessage(10, LogLevel.Information, "The invitation of '{Node}' is withdrawn.")]
    private partial void LogWithdrawing(NodeId node);

    [LoggerMessage(11, LogLevel.Information, "Handing the leadership over.")]
    private partial void LogHandingOver();

    [LoggerMessage(12, LogLevel.Warning, "Leaving the election to others failed: {Why}")]
    private partial void LogNotAside(string why);
}
