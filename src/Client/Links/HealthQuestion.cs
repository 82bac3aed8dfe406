using System.Runtime.CompilerServices;
using Quicksilver.Contracts;

namespace Quicksilver.Client;

/// <summary>
/// How the node of a session is asked whether it is ready. A node of an older version does not know that question; it is asked which cluster it is
/// of, as everyone can say, and where it answers it counts as ready, as it did to the clients of its time. Safe for concurrent use.
/// </summary>
/// <param name="health">The question.</param>
/// <param name="ping">What every node answers.</param>
internal sealed class HealthQuestion(Func<LinkSession, Task<NodeHealth>> health, Func<LinkSession, Task<AnswerContext>> ping, TimeProvider time)
{
    /// <summary>
    /// How long a node counts as an older one: it costs such a node an error in its log to be asked again, and one that failed for another reason would
    /// be taken for ready.
    /// </summary>
    private static readonly TimeSpan RememberFor = TimeSpan.FromMinutes(1);

    /// <summary>Sessions with nodes that did not know the question, by reference, and since when.</summary>
    private readonly ConditionalWeakTable<LinkSession, object> _older = new();

    /// <summary>Throws what the question threw where the node is silent, and where it cannot answer the other one either.</summary>
    public async Task<NodeHealth> AskAsync(LinkSession session)
    {
        if (!_older.TryGetValue(session, out var since) || time.GetElapsedTime((long)since) >= RememberFor)
        {
            try
            {
                return await health(session).ConfigureAwait(false);
            }
            catch (Exception e) when (e is not (TimeoutException or OperationCanceledException or OutOfMemoryException) && !session.Lost.IsCancellationRequested)
            {
                // Orleans says in several ways that there is no such question.
            }
        }

        var context = await ping(session).ConfigureAwait(false);
        _older.AddOrUpdate(session, time.GetTimestamp());
        return new(context, null);
    }
}
