using DotNext.Net.Cluster;
using Microsoft.Extensions.Logging;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <content>Who votes, and who leads.</content>
public sealed partial class RaftNode
{
    /// <summary>How long a member leaves an election to others, at most. Two election timeouts: those who stand have had their turn.</summary>
    private static readonly TimeSpan StandAsideLimit = TimeSpan.FromSeconds(2);

    private static readonly TimeSpan StandAsidePoll = TimeSpan.FromMilliseconds(20);

    /// <summary>
    /// Hands the leadership over, where there is somebody to hand it to. A hub of one keeps it: it would only be without a
    /// leader for half a second.
    /// </summary>
    public async Task ResignAsync(CancellationToken cancellation)
    {
        if (_members.Members is null or { Count: 1 } || !Leadership.IsLeader)
        {
            return;
        }

        try
        {
            await ((ICluster)_cluster).ResignAsync(cancellation).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // The others elect a leader all the same, a little later.
            LogResignFailed(e.Message);
        }
    }

    /// <summary>
    /// Leaves the next election to others: does not stand until another than <paramref name="present"/> leads, at most 2 s. Votes, and
    /// follows, all the same.
    /// </summary>
    /// <param name="present">Who leads, or led last.</param>
    internal async Task StandAsideAsync(NodeId? present, CancellationToken cancellation)
    {
        if (!await _cluster.EnableStandbyModeAsync(cancellation).ConfigureAwait(false))
        {
            return;
        }

        try
        {
            var start = _time.GetTimestamp();
            while (_time.GetElapsedTime(start) < StandAsideLimit && (Leadership.Leader is not { } leader || leader == present))
            {
                await Task.Delay(StandAsidePoll, _time, cancellation).ConfigureAwait(false);
            }
        }
        finally
        {
            // Whatever happened: a member that never stands is half a member. False where it is none any more, or stands already.
            await _cluster.RevertToNormalModeAsync(CancellationToken.None).ConfigureAwait(false);
        }
    }

    /// <summary>
    /// Leader: makes an invited node a voting member, after it has got what this log holds. Returns false where it could not be
    /// reached, or did not keep up; it is no member then, unless it was one before. Throws where this member does not lead, or stopped
    /// leading (the change may have happened), and where another change of the members is under way.
    /// </summary>
    internal Task<bool> AddMemberAsync(HubMember newcomer, CancellationToken cancellation) =>
        _members.Contains(newcomer.Node) ? Task.FromResult(true) : _cluster.AddMemberAsync(newcomer.Endpoint, cancellation);

    /// <summary>
    /// Leader: takes the vote from a member. It is agreed on by a majority of the members before, and applied here, when this returns.
    /// Throws as <see cref="AddMemberAsync"/>.
    /// </summary>
    internal async Task RemoveMemberAsync(HubMember member, CancellationToken cancellation)
    {
        if (_members.Contains(member.Node) && !await _cluster.RemoveMemberAsync(member.Endpoint, cancellation).ConfigureAwait(false))
        {
            throw new InvalidOperationException($"The hub did not agree on the removal of '{member.Node}'.");
        }
    }

    /// <summary>
    /// Leader: the members stay, and the invitations are these. Agreed on and applied here on return; throws as
    /// <see cref="AddMemberAsync"/>. The caller sees to it that no other change is under way: one would be made of what was before.
    /// </summary>
    internal async Task ReplaceInvitationsAsync(IReadOnlyList<HubMember> invited, CancellationToken cancellation)
    {
        // As in ProposeAsync: the term in which this member began to lead.
        var entry = new StoredEntry(new(LogIndex.None, _log.LeadingTerm, CommandId: null, IsConfiguration: true, _members.WithInvited(invited)));
        await _cluster.ReplicateAsync(entry, cancellation).ConfigureAwait(false);
    }

    [LoggerMessage(3, LogLevel.Warning, "Handing the leadership over failed: {Why}")]
    private partial void LogResignFailed(string why);
}
