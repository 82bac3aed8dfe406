using Orleans.Runtime;
using Orleans.Runtime.Messaging;
using Quicksilver.Model;

namespace Quicksilver.Client;

/// <summary>
/// What Orleans said about a call, and what that means for a write (docs/decisions/0005-orleans-errors.md):
/// <list type="table">
/// <listheader><term>Orleans says</term><description>Outcome</description></listheader>
/// <item><term>connection failed, no gateway, gateway too busy, limit exceeded</term><description>NotCommitted: the call never left, or was refused at the door</description></item>
/// <item><term>no such grain interface there</term><description>NotCommitted: it is thrown before anything is sent</description></item>
/// <item><term>time-out, cancelled, rejected on the way, connection lost, anything else</term><description>Unknown</description></item>
/// </list>
/// </summary>
public static class OrleansErrors
{
    /// <summary>Whether a write whose call ended in this exception may have happened.</summary>
    public static WriteOutcome OutcomeOf(Exception e) => e switch
    {
        QuicksilverException quicksilver => quicksilver.Outcome,
        ConnectionFailedException or GatewayTooBusyException or LimitExceededException => WriteOutcome.NotCommitted,
        OrleansMessageRejectionException when e.Message.Contains("No gateways available", StringComparison.Ordinal) => WriteOutcome.NotCommitted,
        ArgumentException => WriteOutcome.NotCommitted,
        _ => WriteOutcome.Unknown,
    };
}
