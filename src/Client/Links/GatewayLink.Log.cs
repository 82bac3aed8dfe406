using Microsoft.Extensions.Logging;

namespace Quicksilver.Client;

/// <content>What it says in the log.</content>
public sealed partial class GatewayLink
{
    [LoggerMessage(1, LogLevel.Information, "Link to {Gateway} is up (node {Node}, region {Region}).")]
    private partial void LogUp(string gateway, string node, string region);

    [LoggerMessage(5, LogLevel.Warning, "No gateway answers, and all are asked again until one does: {Trouble}.")]
    private partial void LogNobody(string trouble);

    [LoggerMessage(2, LogLevel.Warning, "Link to {Gateway} is lost.")]
    private partial void LogLost(string gateway);

    [LoggerMessage(3, LogLevel.Warning, "Connecting to {Gateway} failed: {Why}")]
    private partial void LogFailed(string gateway, string why);

    [LoggerMessage(4, LogLevel.Debug, "Closing a lost link met: {Why}")]
    private partial void LogClosing(string why);
}
