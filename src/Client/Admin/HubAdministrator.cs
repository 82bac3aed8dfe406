using Microsoft.Extensions.Logging;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client;

/// <summary>Who votes in the hub.</summary>
public sealed record HubMembership(NodeId Leader, IReadOnlyList<HubMemberInfo> Members);

/// <summary>Looks at the members of the hub, and rebuilds one. Over gateways of hub nodes. For tools, not for a data path.</summary>
public sealed class HubAdministrator(IReadOnlyList<string> gateways, TimeProvider time, ILoggerFactory loggers) : IAsyncDisposable
{
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan CallTimeout = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(250);

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
        return new(answer.Leader!.Value, answer.Members);
    }

    /// <summary>
    /// Takes the vote from a member; returns null when it has none, or why the hub refused. Throws
    /// <see cref="QuicksilverException"/> (Unavailable) where it could not be brought about in time; it may still happen.
    /// </summary>
    public async Task<string?> RemoveAsync(NodeId node, bool force, TimeSpan timeout, CancellationToken cancellation)
    {
        var tries = 0;
        var answer = await RepeatAsync(
            hub =>
            {
                tries++;
                return hub.Remove(node, force);
            },
            answer => answer.Status is HubAnswerStatus.Ok or HubAnswerStatus.Refused, answer => answer.Problem, timeout, cancellation).ConfigureAwait(false);
        return answer.Status != HubAnswerStatus.Refused
            ? null
            : tries == 1 ? answer.Problem : $"{answer.Problem} An earlier try was not answered and may still take effect: look at the members.";
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
