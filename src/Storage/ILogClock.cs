using Quicksilver.Model;

namespace Quicksilver.Storage;

/// <summary>What a node knows of the leader's clock, and how old its knowledge of the log is.</summary>
public interface ILogClock
{
    /// <summary>The log time now, as well as this node can tell: what a new operation id may carry. None where it cannot tell.</summary>
    LogTime Now { get; }

    /// <summary>How long ago, by monotonic time, this node's View was known to be the hub's newest; zero at the hub, null where never.</summary>
    TimeSpan? Age { get; }
}
