using Quicksilver.Model;

namespace Quicksilver.Client;

/// <summary>
/// What Orleans said about a call that was begun, and what that means for a write (docs/decisions/0005-orleans-errors.md):
/// <list type="table">
/// <listheader><term>said</term><description>outcome</description></listheader>
/// <item><term>our own exception</term><description>what it says of itself</description></item>
/// <item><term>connection failed, no gateway, gateway too busy</term><description>Unknown: Orleans sends a message again by itself when its connection dies, so the refusal may be that of the second copy</description></item>
/// <item><term>time-out, cancelled, rejected, anything else</term><description>Unknown</description></item>
/// </list>
/// Certain are only our typed answers, and a link that was known to be down before the call was begun.
/// </summary>
public static class OrleansErrors
{
    /// <summary>Whether a write whose call ended in this exception may have happened.</summary>
    public static WriteOutcome OutcomeOf(Exception e) =>
        e is QuicksilverException { Outcome: not WriteOutcome.NotAWrite } quicksilver ? quicksilver.Outcome : WriteOutcome.Unknown;
}
