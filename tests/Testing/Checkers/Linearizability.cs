using Quicksilver.Model;

namespace Quicksilver.Testing.Checkers;

/// <summary>What the checker found.</summary>
public enum Verdict
{
    Unspecified = 0,

    /// <summary>There is an order of the operations that explains every answer.</summary>
    Linearizable = 1,

    /// <summary>There is none.</summary>
    Illegal = 2,

    /// <summary>It took more steps than were allowed.</summary>
    Undecided = 3,
}

/// <summary>The verdict on one key.</summary>
/// <param name="Key">The key.</param>
/// <param name="Verdict">What was found.</param>
/// <param name="Steps">Steps it took.</param>
/// <param name="Longest">The longest beginning of the key's operations, by the time of their answers, that could be explained.</param>
public sealed record KeyVerdict(string Key, Verdict Verdict, long Steps, int Longest);

/// <summary>
/// Tells whether a history of single keys is linearizable: whether every operation can be given one moment between its call and its
/// answer so that the answers are those of one copy. The search of Wing and Gong, with Lowe's memory of what was tried before. A write
/// whose outcome is unknown may take effect at any moment after its call, or never.
/// </summary>
public static class Linearizability
{
    /// <summary>Checks all keys of a history.</summary>
    /// <param name="history">In any order.</param>
    /// <param name="maxSteps">Steps for one key. To refute a history can take very many.</param>
    public static IReadOnlyList<KeyVerdict> Check(IEnumerable<Operation> history, long maxSteps = 20_000_000) =>
        [.. history.GroupBy(operation => operation.Key, StringComparer.Ordinal).Select(key => new Search(key.Key, [.. key], maxSteps).Run())];

    /// <summary>
    /// What the key holds. The revision of a write with an unknown outcome is not known until somebody sees it: <see cref="Unseen"/>.
    /// </summary>
    private readonly record struct State(string? Value, long Revision)
    {
        public const long Unseen = -1;

        public static readonly State Absent = new(null, 0);

        public bool CanBe(long revision) => Revision == revision || Revision == Unseen;
    }

    /// <summary>A call or an answer in the order of time; answers refer to their call.</summary>
    private sealed class Event(Operation operation, int number, long at, bool isCall)
    {
        public Operation Operation { get; } = operation;

        public int Number { get; } = number;

        public long At { get; } = at;

        public bool IsCall { get; } = isCall;

        public Event? Answer { get; set; }

        public Event? Previous { get; set; }

        public Event? Next { get; set; }
    }

    private sealed class Search
    {
        private readonly string _key;
        private readonly long _maxSteps;
        private readonly int _answered;
        private readonly Event _head = new(null!, -1, long.MinValue, isCall: true);
        private readonly ulong[] _done;
        private readonly HashSet<(Bits Done, State State)> _tried = [];

        public Search(string key, List<Operation> operations, long maxSteps)
        {
            _key = key;
            _maxSteps = maxSteps;

            // Those that have an answer first: nearly all of the early ones are placed at any moment of the search, and a set of numbers
            // is remembered without its full beginning.
            var asked = operations.Where(operation => operation is not { Kind: OperationKind.Get, Result: OperationResult.Unknown })
                .OrderBy(operation => operation.Result == OperationResult.Unknown).ThenBy(operation => operation.Called).ToList();
            _answered = asked.Count(operation => operation.Result != OperationResult.Unknown);
            _done = new ulong[(asked.Count + 63) / 64];
            var events = new List<Event>();
            for (var i = 0; i < asked.Count; i++)
            {
                var call = new Event(asked[i], i, asked[i].Called, isCall: true);
                events.Add(call);
                if (i < _answered)
                {
                    call.Answer = new(asked[i], i, asked[i].Returned, isCall: false);
                    events.Add(call.Answer);
                }
            }

            // At one moment calls come first: what overlaps in time may be ordered either way.
            events.Sort((a, b) => a.At != b.At ? a.At.CompareTo(b.At) : b.IsCall.CompareTo(a.IsCall));
            var last = _head;
            foreach (var next in events)
            {
                (last.Next, next.Previous) = (next, last);
                last = next;
            }
        }

        public KeyVerdict Run()
        {
            var stack = new Stack<(Event Call, State Before)>();
            var state = State.Absent;
            var longest = 0;
            long steps = 0;
            var at = _head.Next;
            while (at is not null)
            {
                if (++steps > _maxSteps)
                {
                    return new(_key, Verdict.Undecided, steps, longest);
                }

                if (!at.IsCall)
                {
                    // An answer whose operation has no place yet: the last choice was wrong.
                    if (!stack.TryPop(out var wrong))
                    {
                        return new(_key, Verdict.Illegal, steps, longest);
                    }

                    state = wrong.Before;
                    _done[wrong.Call.Number / 64] &= ~(1UL << (wrong.Call.Number % 64));
                    Insert(wrong.Call);
                    at = wrong.Call.Next;
                    continue;
                }

                if (Apply(state, at.Operation) is { } after && TryRemember(at.Number, after))
                {
                    stack.Push((at, state));
                    longest = Math.Max(longest, stack.Count);
                    state = after;
                    Remove(at);
                    at = _head.Next;
                    continue;
                }

                at = at.Next;
            }

            // Only calls without an answer are left, and they need no place.
            return new(_key, Verdict.Linearizable, steps, longest);
        }

        private bool TryRemember(int number, State after)
        {
            _done[number / 64] |= 1UL << (number % 64);
            if (_tried.Add((Bits.Of(_done, _answered / 64), after)))
            {
                return true;
            }

            _done[number / 64] &= ~(1UL << (number % 64));
            return false;
        }

        private static void Remove(Event call)
        {
            Unlink(call);
            if (call.Answer is { } answer)
            {
                Unlink(answer);
            }
        }

        private static void Insert(Event call)
        {
            // In the reverse order of removal, so that the neighbours are those of before.
            if (call.Answer is { } answer)
            {
                Link(answer);
            }

            Link(call);
        }

        private static void Unlink(Event taken)
        {
            taken.Previous!.Next = taken.Next;
            if (taken.Next is { } next)
            {
                next.Previous = taken.Previous;
            }
        }

        private static void Link(Event back)
        {
            back.Previous!.Next = back;
            if (back.Next is { } next)
            {
                next.Previous = back;
            }
        }
    }

    /// <summary>The state after an operation, or null where its answer could not have been given.</summary>
    private static State? Apply(State state, Operation operation)
    {
        var isKnown = operation.Result == OperationResult.Done;
        var revision = isKnown ? operation.Revision.Value : State.Unseen;
        switch (operation.Kind)
        {
            case OperationKind.Get:
                return operation.Value == state.Value && state.CanBe(operation.Revision.Value) ? state with { Revision = operation.Revision.Value } : null;
            case OperationKind.Put:
                return IsLater(state, revision) ? new(operation.Argument, revision) : null;
            case OperationKind.Delete:
                return IsLater(state, revision) ? State.Absent : null;
            case OperationKind.PutIf when operation.Result == OperationResult.Refused:
                return state.CanBe(operation.Revision.Value) && operation.Revision != operation.Expected
                    ? state with { Revision = operation.Revision.Value }
                    : null;
            case OperationKind.PutIf:
                return state.CanBe(operation.Expected.Value) && IsLater(state, revision) ? new(operation.Argument, revision) : isKnown ? null : state;
            default:
                throw new ArgumentOutOfRangeException(nameof(operation), operation.Kind, "The history has an operation of no kind.");
        }
    }

    /// <summary>Revisions only grow.</summary>
    private static bool IsLater(State state, long revision) => revision == State.Unseen || state.Revision == State.Unseen || revision > state.Revision;

    /// <summary>A set of numbers, compared by content. What is full at its beginning is only counted.</summary>
    private readonly struct Bits : IEquatable<Bits>
    {
        private readonly int _full;
        private readonly ulong[] _rest;

        private Bits(int full, ulong[] rest) => (_full, _rest) = (full, rest);

        /// <param name="words">The set.</param>
        /// <param name="tail">From here on the words are sparse; those before are full up to somewhere and empty soon after.</param>
        public static Bits Of(ulong[] words, int tail)
        {
            var full = 0;
            while (full < tail && words[full] == ulong.MaxValue)
            {
                full++;
            }

            var end = tail;
            while (end > full && words[end - 1] == 0)
            {
                end--;
            }

            return new(full, [.. words.AsSpan(full, end - full), .. words.AsSpan(tail)]);
        }

        public bool Equals(Bits other) => _full == other._full && _rest.AsSpan().SequenceEqual(other._rest);

        public override bool Equals(object? obj) => obj is Bits other && Equals(other);

        public override int GetHashCode()
        {
            var hash = default(HashCode);
            hash.Add(_full);
            hash.AddBytes(System.Runtime.InteropServices.MemoryMarshal.AsBytes(_rest.AsSpan()));
            return hash.ToHashCode();
        }
    }
}
