using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Grains;

/// <summary>
/// The door for commands: reads the block, checks each command, and hands the good ones on. A bad command gets its own outcome
/// and does not keep the others from theirs.
/// </summary>
public sealed class CommitGate(NodeContext node, ICommitPath path)
{
    /// <param name="problemOf">What else speaks against a command at this door, or null.</param>
    internal async ValueTask<CommitManyAnswer> CommitAsync(
        CommitManyRequest request, Func<ReadOnlyMemory<byte>, string?> problemOf, CancellationToken cancellation)
    {
        using var span = node.Serve(Traces.ServeCommit);
        ReadOnlyMemory<byte>[] commands;
        try
        {
            commands = CommandBatch.Unpack(request.Commands);
        }
        catch (MalformedDataException e)
        {
            // The number of commands may be all that can be read. One answer for each, or the caller could not tell them apart.
            var refused = new CommitOutcome[Math.Max(1, CommandBatch.ReadCount(request.Commands))];
            Array.Fill(refused, CommitOutcome.Invalid(e.Message));
            return new(refused, node.Answer(node.Store.Progress));
        }

        span?.SetTag(Traces.CommandsTag, commands.Length);
        var outcomes = new CommitOutcome[commands.Length];
        var own = node.Store.Progress.Cluster;
        if (!request.Cluster.IsNone && !own.IsNone && request.Cluster != own)
        {
            Array.Fill(outcomes, CommitOutcome.Unavailable);
            return new(outcomes, node.Answer(node.Store.Progress));
        }

        var good = new List<ReadOnlyMemory<byte>>(commands.Length);
        for (var i = 0; i < commands.Length; i++)
        {
            if ((CommandView.Validate(commands[i].Span) ?? problemOf(commands[i])) is { } problem)
            {
                outcomes[i] = CommitOutcome.Invalid(problem);
            }
            else
            {
                good.Add(commands[i]);
            }
        }

        if (good.Count == 0)
        {
            return new(outcomes, node.Answer(node.Store.Progress));
        }

        var answer = await path.CommitAsync(good, cancellation);
        if (good.Count == commands.Length)
        {
            return answer;
        }

        var next = 0;
        for (var i = 0; i < outcomes.Length; i++)
        {
            if (outcomes[i].Kind != CommitKind.Invalid)
            {
                outcomes[i] = answer.Outcomes[next++];
            }
        }

        return answer with { Outcomes = outcomes };
    }
}
