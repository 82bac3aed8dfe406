using System.Globalization;
using System.Text;
using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Testing.Checkers;

namespace Quicksilver.Simulation.Hub;

/// <summary>What all clients of a simulation learned, together.</summary>
internal sealed class History
{
    public List<Operation> Operations { get; } = [];

    public List<AcknowledgedWrite> Acknowledged { get; } = [];

    /// <summary>Writes that a client was told did not happen, and will not.</summary>
    public List<OperationId> Denied { get; } = [];

    /// <summary>How often each outcome reached a client, and each end of a write; by name, in order.</summary>
    public SortedDictionary<string, int> Counts { get; } = new(StringComparer.Ordinal);

    public List<string> Wrong { get; } = [];

    /// <summary>Events, so that calls and answers are in an order.</summary>
    public long Step { get; set; }

    public void Count(string what) => Counts[what] = Counts.GetValueOrDefault(what) + 1;
}

/// <summary>
/// An application: one operation after the other on few keys. Session and tries of a write are those of the SDK; what it sends goes
/// through the simulated network, to any member.
/// </summary>
internal sealed class SimulatedClient(
    int number, Simulator simulator, SimulatedNetwork network, SimulatedRaft raft, History history, KeyspaceId keyspace, int operations, Plant plant)
{
    private const int Keys = 4;

    private static readonly TimeSpan ReadPatience = TimeSpan.FromSeconds(2);

    private readonly QuicksilverClientOptions _options = new();
    private readonly VirtualClock _clock = new(simulator);
    private readonly Revision[] _known = new Revision[Keys];
    private Session? _session;
    private int _left = operations;
    private ulong _ids;
    private ulong _calls;

    // A write that this client was told is done: its id must not do anything else. Values are all different, so a put is something else.
    private OperationId _used;

    private Session Session => _session ??= new(_clock);

    public bool IsDone => _left == 0;

    /// <summary>A write of this client, from its first call to the end of its last.</summary>
    private sealed record Write(Operation Asked, OperationId Id, ReadOnlyMemory<byte> Command, bool IsReuse);

    public void Start() => simulator.After(simulator.Between(0, 1_000), $"client {number} begins", Next);

    private void Next()
    {
        if (IsDone)
        {
            return;
        }

        var kind = simulator.Random.Next(10) switch { < 3 => OperationKind.Get, < 6 => OperationKind.Put, < 9 => OperationKind.PutIf, _ => OperationKind.Delete };
        if (kind == OperationKind.Get)
        {
            Read();
        }
        else if (Session.FreshLogTime is { } logTime)
        {
            Send(Make(kind, logTime), isKnown: false);
        }
        else
        {
            LearnTime();
        }
    }

    private SimulatedMember AnyMember() => simulator.Chance(0.6) && raft.Leader is { } leader ? leader : raft.Members[simulator.Random.Next(raft.Members.Count)];

    private void LearnTime()
    {
        var member = AnyMember();
        network.Ask(member, () => Learn(member));
        simulator.After(TimeSpan.FromMilliseconds(50), $"client {number} goes on", Next);
    }

    private void Learn(SimulatedMember member) => Session.Learn(new AnswerContext(default, default, member.LogTime, null), default);

    private Write Make(OperationKind kind, LogTime logTime)
    {
        var key = simulator.Random.Next(Keys);
        var isReuse = kind != OperationKind.Delete && !_used.IsNone && simulator.Chance(0.05);
        var id = isReuse ? _used : NewId(logTime);
        var asked = new Operation(
            number, string.Create(CultureInfo.InvariantCulture, $"k{key}"), kind, kind == OperationKind.Delete ? null : string.Create(CultureInfo.InvariantCulture, $"{number}/{_left}"),
            _known[key], OperationResult.Unknown, null, default, history.Step, 0);
        return new(asked, id, Encode(asked, id), isReuse);
    }

    private OperationId NewId(LogTime logTime) => new(logTime, (ulong)number, ++_ids);

    private ReadOnlyMemory<byte> Encode(Operation asked, OperationId id)
    {
        var writer = new ByteWriter();
        var mutation = asked.Argument is { } value ? Mutation.Put(asked.Key, Encoding.ASCII.GetBytes(value)) : Mutation.Delete(asked.Key);
        CommandWriter.WriteTransaction(writer, keyspace, id, asked.Kind == OperationKind.PutIf ? [Condition.RevisionIs(asked.Key, asked.Expected)] : [], [mutation]);
        return writer.ToArray();
    }

    /// <param name="isKnown">True where the same write was sent by an earlier call, whose end was not certain.</param>
    private void Send(Write write, bool isKnown)
    {
        simulator.Note($"client {number}: {write.Asked.Kind} {write.Asked.Key} if {write.Asked.Expected}, {write.Id}{(isKnown ? ", again" : "")}");
        Try(write, new(write.Id, isKnown, _options), isKnown, simulator.Now + _options.Deadline);
    }

    private void Try(Write write, CommitTries tries, bool isKnown, TimeSpan deadline)
    {
        if (!network.IsHealed && simulator.Chance(0.02))
        {
            Go(write, tries, isKnown, deadline, tries.OnNotSent(new(QuicksilverErrorCode.Unavailable, "no link", WriteOutcome.NotCommitted), Left(deadline)), default);
            return;
        }

        var isOver = false;
        var member = AnyMember();
        var command = plant == Plant.NewIdForEachTry ? Encode(write.Asked, NewId(Session.FreshLogTime ?? write.Id.IssuedAt)) : write.Command;
        network.Commit(
            member, new((ulong)number + 1, ++_calls), command,
            outcome => Once(() =>
            {
                history.Count($"outcome {outcome.Kind}");
                Learn(member);
                Go(write, tries, isKnown, deadline, tries.OnAnswer(outcome, Left(deadline)), outcome);
            }),
            () => Once(() => Unanswered("the link was lost")));
        simulator.After(Left(deadline), "deadline", () => Once(() => Unanswered("no answer came in time")));

        void Once(Action end)
        {
            if (!isOver)
            {
                isOver = true;
                end();
            }
        }

        void Unanswered(string why) => Go(
            write, tries, isKnown, deadline,
            plant == Plant.DeniesWhatIsUnknown
                ? new NextStep(new(QuicksilverErrorCode.Unavailable, why, WriteOutcome.NotCommitted), null, "")
                : tries.OnUnanswered(new TimeoutException(why), Left(deadline)),
            default);
    }

    private TimeSpan Left(TimeSpan deadline) => deadline > simulator.Now ? deadline - simulator.Now : TimeSpan.Zero;

    private void Go(Write write, CommitTries tries, bool isKnown, TimeSpan deadline, NextStep next, CommitOutcome outcome)
    {
        if (next.Pause is { } pause)
        {
            simulator.After(pause, $"client {number} tries again", () => Try(write, tries, isKnown, deadline));
        }
        else if (next.Failure is { Outcome: WriteOutcome.Unknown })
        {
            OnUnknown(write);
        }
        else
        {
            // What the SDK says of an id that an earlier call may have sent and the hub does not judge is uncertain; of its own, that it was not done.
            End(write, isKnown, next.Failure is null ? outcome : CommitOutcome.Unavailable);
        }
    }

    private void OnUnknown(Write write)
    {
        history.Count("end unknown");
        if (simulator.Chance(0.5))
        {
            // Somebody asks again, soon or when the hub has forgotten.
            simulator.After(simulator.Between(100, 60_000), $"client {number} asks again", () => Send(write, isKnown: true));
            return;
        }

        history.Operations.Add(write.Asked with { Returned = history.Step });
        Rest();
    }

    private void End(Write write, bool isKnown, CommitOutcome outcome)
    {
        history.Count($"end {outcome.Kind}");
        simulator.Note($"client {number}: {write.Id} ends as {outcome.Kind} {outcome.Revision}");
        if (write.IsReuse)
        {
            if (outcome.Kind is not (CommitKind.OperationIdReused or CommitKind.Expired or CommitKind.Unavailable))
            {
                history.Wrong.Add($"{write.Id} was used before, and is {outcome.Kind} for another request");
            }
        }
        else if (outcome.Kind == CommitKind.Committed)
        {
            history.Acknowledged.Add(new(write.Id, outcome.Revision));
            history.Operations.Add(write.Asked with { Result = OperationResult.Done, Revision = outcome.Revision, Returned = history.Step });
            Know(write.Asked.Key, write.Asked.Argument is null ? default : outcome.Revision);
            _used = write.Id;
        }
        else if (isKnown)
        {
            // What the hub judged of an id that was sent before holds for this call; a copy of an earlier one may still arrive.
            history.Operations.Add(write.Asked with { Returned = history.Step });
        }
        else
        {
            history.Denied.Add(write.Id);
            if (outcome.Kind == CommitKind.ConditionFailed)
            {
                history.Operations.Add(write.Asked with { Result = OperationResult.Refused, Revision = outcome.Revision, Returned = history.Step });
                Know(write.Asked.Key, outcome.Revision);
            }
        }

        Rest();
    }

    private void Know(string key, Revision revision) => _known[key[1] - '0'] = revision;

    private void Rest()
    {
        _left--;
        simulator.After(simulator.Between(0, 3_000), $"client {number} goes on", Next);
    }

    /// <summary>A linearizable read, through whoever thinks that it leads.</summary>
    private void Read()
    {
        var key = string.Create(CultureInfo.InvariantCulture, $"k{simulator.Random.Next(Keys)}");
        var called = history.Step;
        var isOver = false;
        var leading = raft.Members.Where(member => member.IsLeading).ToList();
        if (leading.Count > 0)
        {
            var member = leading[simulator.Random.Next(leading.Count)];
            network.Ask(member, () => raft.Barrier(member, isReached =>
            {
                if (isReached)
                {
                    // What is read now is what arrives, however late.
                    using var view = member.AcquireView();
                    using var row = view.Get(keyspace, Encoding.ASCII.GetBytes(key));
                    var (value, revision) = row.Found ? (Encoding.ASCII.GetString(row.Row.Value), row.Row.Revision) : (null, default);
                    simulator.After(network.Delay(), "read is answered", () => Once(() =>
                    {
                        history.Count("end read");
                        history.Operations.Add(new(number, key, OperationKind.Get, null, default, OperationResult.Done, value, revision, called, history.Step));
                        Know(key, revision);
                    }));
                }
            }));
        }

        simulator.After(ReadPatience, "read is given up", () => Once(() => { }));

        void Once(Action end)
        {
            if (!isOver)
            {
                isOver = true;
                end();
                Rest();
            }
        }
    }
}
