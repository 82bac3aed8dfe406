using Microsoft.Extensions.Logging;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client;

/// <summary>Who votes in the hub.</summary>
/// <param name="Invited">Nodes that may become members whenever they ask; a member may be among them that is about to be rebuilt.</param>
public sealed record HubMembership(NodeId Leader, IReadOnlyList<HubMemberInfo> Members, IReadOnlyList<HubMemberInfo> Invited);

/// <summary>What became of a transfer of the leadership.</summary>
/// <param name="Leader">Who leads now.</param>
/// <param name="Problem">Null where that is whom it was to be; else why not.</param>
public sealed record HubTransfer(NodeId Leader, string? Problem);

/// <summary>Looks at the members of the hub, and changes them. Over gateways of hub nodes. For tools, not for a data path.</summary>
public sealed class HubAdministrator(IReadOnlyList<string> gateways, TimeProvider time, ILoggerFactory loggers) : IAsyncDisposable
{
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan CallTimeout = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(250);

    /// <summary>How often a leader is made to give up before a transfer counts as failed. Each time costs an election.</summary>
    private const int MaxTransfers = 5;

    private readonly GatewayLink _link = new(new() { Gateways = gateways }, time, loggers);
    private bool _started;

    /// <summary>
    /// The voting members, as the leader knows them. Tries until <paramref name="timeout"/>, because there may be no leader at the
    /// moment; then throws <see cref="QuicksilverException"/> (Unavailable, NotAGateway).
    /// </summary>
    public async Task<HubMembership> MembersAsync(TimeSpan timeout, CancellationToken cancellation)
    {
        var answer = await RepeatAsync(
            hub => hub.Members(), answer => answer.Status == HubAnswerStatus.Ok, answer => answer.Problem, timeout, cancellation).ConfigureAwait(false);
        return new(answer.Leader!.Value, answer.Members, answer.Invited ?? []);
    }

    /// <summary>
    /// Takes the vote from a member, for good; returns null when it has none, and no invitation to come back, or why the hub refused.
    /// Throws <see cref="QuicksilverException"/> (Unavailable) where it could not be brought about in time; it may still happen.
    /// </summary>
    public Task<string?> RemoveAsync(NodeId node, bool force, TimeSpan timeout, CancellationToken cancellation) => ChangeAsync(
        hub => hub.Remove(node, force), hub => !hub.Members.Concat(hub.Invited).Any(member => member.Node == node), timeout, cancellation);

    /// <summary>
    /// Takes the vote from a member and invites it to come back as a new one; returns null then, or why the hub refused. Throws as
    /// <see cref="RemoveAsync"/>.
    /// </summary>
    public Task<string?> RepairAsync(NodeId node, bool force, TimeSpan timeout, CancellationToken cancellation) => ChangeAsync(
        hub => hub.Repair(node, force),
        hub => hub.Invited.Any(member => member.Node == node) && !hub.Members.Any(member => member.Node == node), timeout, cancellation);

    /// <summary>
    /// Lets a node become a member from that endpoint of its Raft port, whenever it asks; returns null then, or why the hub refused.
    /// Throws as <see cref="RemoveAsync"/>.
    /// </summary>
    public Task<string?> InviteAsync(HubMemberInfo newcomer, TimeSpan timeout, CancellationToken cancellation) => ChangeAsync(
        hub => hub.Invite(newcomer), hub => hub.Members.Concat(hub.Invited).Contains(newcomer), timeout, cancellation);

    /// <param name="isDone">True where the members are as they were to be.</param>
    private async Task<string?> ChangeAsync(
        Func<IHubGrain, Task<HubChangeAnswer>> change, Func<HubMembership, bool> isDone, TimeSpan timeout, CancellationToken cancellation)
    {
        var tries = 0;
        var answer = await RepeatAsync(
            hub =>
            {
                tries++;
                return change(hub);
            },
            answer => answer.Status is HubAnswerStatus.Ok or HubAnswerStatus.Refused, answer => answer.Problem, timeout, cancellation).ConfigureAwait(false);
        if (answer.Status != HubAnswerStatus.Refused)
        {
            return null;
        }

        if (tries == 1)
        {
            return answer.Problem;
        }

        // An earlier try may have done what this one was refused for.
        return isDone(await MembersAsync(timeout, cancellation).ConfigureAwait(false))
            ? null
            : $"{answer.Problem} An earlier try was not answered and may still take effect: look at the members.";
    }

    /// <summary>
    /// Makes the leader hand over to a member, or to any other, and returns when one leads. Writes wait for the election meanwhile.
    /// Whoever does not win the election is asked to give up again, at most five times in all. Throws
    /// <see cref="QuicksilverException"/> (Unavailable) where nobody leads when the time is over.
    /// </summary>
    public async Task<HubTransfer> TransferAsync(NodeId? to, TimeSpan timeout, CancellationToken cancellation)
    {
        var start = time.GetTimestamp();
        TimeSpan Left() => Max(timeout - time.GetElapsedTime(start), Pause);
        var first = (await MembersAsync(Left(), cancellation).ConfigureAwait(false)).Leader;
        var leader = first;
        for (var transfers = 0; transfers < MaxTransfers; transfers++)
        {
            var from = leader;
            var answer = await RepeatAsync(
                hub => hub.Transfer(from, to), answer => answer.Status is HubAnswerStatus.Ok or HubAnswerStatus.UnderWay or HubAnswerStatus.Refused,
                answer => answer.Problem, Left(), cancellation).ConfigureAwait(false);
            leader = (await MembersAsync(Left(), cancellation).ConfigureAwait(false)).Leader;
            if (to is { } wanted ? leader == wanted : leader != first)
            {
                return new(leader, null);
            }

            if (answer.Status == HubAnswerStatus.Refused)
            {
                return new(leader, answer.Problem);
            }
        }

        return new(leader, $"'{leader}' won the election each time. It may be the only one that has all entries, or is reached by the others: see 'qs status'.");
    }

    /// <summary>
    /// Waits until a node is a member and has what the leader had when it became one. Throws <see cref="QuicksilverException"/>
    /// (Unavailable) when the time is over; it may still become one later.
    /// </summary>
    public async Task WaitForMemberAsync(NodeId node, TimeSpan timeout, CancellationToken cancellation)
    {
        var start = time.GetTimestamp();
        TimeSpan Left() => timeout - time.GetElapsedTime(start);
        while (!(await MembersAsync(Max(Left(), Pause), cancellation).ConfigureAwait(false)).Members.Any(member => member.Node == node))
        {
            if (Left() <= Pause)
            {
                throw new QuicksilverException(
                    QuicksilverErrorCode.Unavailable, $"'{node}' did not ask to join within {timeout.TotalSeconds:0} s. Start its process; it joins by itself, whenever that is.");
            }

            await Task.Delay(Pause, time, cancellation).ConfigureAwait(false);
        }
    }

    private static TimeSpan Max(TimeSpan a, TimeSpan b) => a > b ? a : b;

    private async Task<TAnswer> RepeatAsync<TAnswer>(
        Func<IHubGrain, Task<TAnswer>> ask, Func<TAnswer, bool> isFinal, Func<TAnswer, string?> problemOf, TimeSpan timeout, CancellationToken cancellation)
    {
        if (!_started)
        {
            _started = true;
            _link.Start();
        }

        var start = time.GetTimestamp();
        while (true)
        {
            string why;
            try
            {
                var session = await _link.ConnectAsync(ConnectTimeout, cancellation).ConfigureAwait(false);
                if (session.Hello.Role != NodeRole.Hub)
                {
                    throw new QuicksilverException(QuicksilverErrorCode.InvalidRequest, $"{session.Gateway} is '{session.Hello.Node}' of region '{session.Hello.Region}', not a node of the hub. Name a gateway of the hub.");
                }

                using var bound = CancellationTokenSource.CreateLinkedTokenSource(cancellation, session.Lost);
                var answer = await ask(session.Grains.GetGrain<IHubGrain>(0)).WaitAsync(CallTimeout, time, bound.Token).ConfigureAwait(false);
                if (isFinal(answer))
                {
                    return answer;
                }

                why = problemOf(answer) ?? "no reason given";
            }
            catch (QuicksilverException e) when (e.Code is QuicksilverErrorCode.InvalidRequest or QuicksilverErrorCode.NotAGateway)
            {
                throw;
            }
            catch (Exception e) when (e is not OutOfMemoryException && !cancellation.IsCancellationRequested)
            {
                // What is asked here may be asked again at will.
                why = e.Message;
            }

            if (time.GetElapsedTime(start) + Pause > timeout)
            {
                throw new QuicksilverException(QuicksilverErrorCode.Unavailable, $"The hub did not answer within {timeout.TotalSeconds:0.#} s: {why}.");
            }

            await Task.Delay(Pause, time, cancellation).ConfigureAwait(false);
        }
    }

    public ValueTask DisposeAsync() => _link.DisposeAsync();
}
