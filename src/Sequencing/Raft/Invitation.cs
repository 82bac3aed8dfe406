using Microsoft.Extensions.Logging;

namespace Quicksilver.Sequencing;

/// <summary>
/// A node without a vote joins only where an administrator has invited it: one that was taken out for good would come back by itself.
/// It waits, without a limit, and says so.
/// </summary>
internal sealed partial class Invitation(HubMember self, IHubPeers peers, TimeProvider time, ILogger logger)
{
    private static readonly TimeSpan AskPeriod = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan ReportPeriod = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Returns when this node is invited at its endpoint. Throws <see cref="FormationRefusedException"/> where it has become a member
    /// meanwhile: another process has its name.
    /// </summary>
    /// <param name="word">What the hub said last.</param>
    public async Task WaitAsync(HubWord word, CancellationToken cancellation)
    {
        long? reported = null;
        while (!self.Endpoint.Equals(word.InvitedAt))
        {
            if (word.IsMember)
            {
                throw new FormationRefusedException($"'{self.Node}' has become a member of the hub while this node waited to be invited: another process has its name.");
            }

            if (reported is not { } last || time.GetElapsedTime(last) > ReportPeriod)
            {
                reported = time.GetTimestamp();
                if (word.InvitedAt is { } elsewhere)
                {
                    LogInvitedElsewhere(self.Node.Value, elsewhere.ToString(), self.Endpoint.ToString());
                }
                else
                {
                    LogWaiting(self.Node.Value, self.Endpoint.ToString());
                }
            }

            await Task.Delay(AskPeriod, time, cancellation).ConfigureAwait(false);
            word = await peers.AskAsync(cancellation).ConfigureAwait(false) ?? word;
        }
    }

    [LoggerMessage(1, LogLevel.Warning, "'{Node}' is no member of the hub, and waits until it is invited. Run 'qs hub add {Node} --endpoint {Endpoint}' against another node of the hub, or stop this one.")]
    private partial void LogWaiting(string node, string endpoint);

    [LoggerMessage(2, LogLevel.Warning, "'{Node}' is invited at {Invited}, and Quicksilver:Hub:Members says {Endpoint}. It waits until both are the same.")]
    private partial void LogInvitedElsewhere(string node, string invited, string endpoint);
}
