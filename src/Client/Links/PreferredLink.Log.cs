using Microsoft.Extensions.Logging;

namespace Quicksilver.Client;

/// <content>What it says in the log.</content>
internal sealed partial class PreferredLink
{
    [LoggerMessage(1, LogLevel.Information, "{Better} is there and ready, and preferred to {Current}.")]
    private partial void LogBetter(string better, string current);

    [LoggerMessage(2, LogLevel.Warning, "The node behind {Gateway} is not ready, and is left for another that is: {Why}")]
    private partial void LogNotReady(string gateway, string why);

    [LoggerMessage(4, LogLevel.Error, "Looking for the best gateway failed, and is begun anew.")]
    private partial void LogFailed(Exception e);

    [LoggerMessage(3, LogLevel.Debug, "{Gateway} answers, but is not gone to: {Why}")]
    private partial void LogNotBetter(string gateway, string why);
}
