using Quicksilver.Model;

namespace Quicksilver.Cli;

/// <summary>How <c>qs</c> ends. Scripts branch on these: the numbers never change.</summary>
public static class ExitCodes
{
    public const int Ok = 0;
    public const int Error = 1;
    public const int Usage = 2;
    public const int NotFound = 3;
    public const int ConditionFailed = 4;
    public const int Unknown = 5;
    public const int Unavailable = 6;

    /// <summary>The code for a failure of a call.</summary>
    public static int For(QuicksilverException e) => e switch
    {
        { Outcome: WriteOutcome.Unknown } => Unknown,
        { Code: QuicksilverErrorCode.OutcomeUnknown } => Unknown,
        { Code: QuicksilverErrorCode.KeyspaceNotFound } => NotFound,
        { Code: QuicksilverErrorCode.Unavailable or QuicksilverErrorCode.Overloaded or QuicksilverErrorCode.NotYet or QuicksilverErrorCode.NotAGateway or QuicksilverErrorCode.DeadlineExceeded } => Unavailable,
        { Code: QuicksilverErrorCode.InvalidRequest } => Usage,
        _ => Error,
    };
}
