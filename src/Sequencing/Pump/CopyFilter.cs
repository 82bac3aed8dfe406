using Quicksilver.Model;

namespace Quicksilver.Sequencing;

/// <summary>
/// Lets each call in once. What would be said of a second copy is not true of the first: refused for a queue that is full, or a leadership
/// that is gone, while the first is on its way into the log. Safe for concurrent use.
/// </summary>
public sealed class CopyFilter
{
    /// <summary>Callers that are remembered: starts of processes of one hub.</summary>
    public const int MaxCallers = 1_024;

    private readonly Lock _gate = new();
    private readonly Dictionary<ulong, ulong> _last = [];
    private readonly Queue<ulong> _callers = new();

    /// <summary>
    /// False for a call that was let in before, and for one that a later one of its caller has overtaken: whoever waited for that has
    /// given up. Its fate is unknown to the one who asks.
    /// </summary>
    public bool IsFirst(CallId call)
    {
        if (call.Caller == 0)
        {
            return true;
        }

        lock (_gate)
        {
            if (_last.TryGetValue(call.Caller, out var last))
            {
                if (call.Number <= last)
                {
                    return false;
                }
            }
            else
            {
                if (_callers.Count == MaxCallers)
                {
                    _last.Remove(_callers.Dequeue());
                }

                _callers.Enqueue(call.Caller);
            }

            _last[call.Caller] = call.Number;
            return true;
        }
    }
}
