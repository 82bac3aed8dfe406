using Quicksilver.Testing.Checkers;

namespace Quicksilver.Testing.Tests;

/// <summary>
/// Goal: the checker of sessions finds a broken promise of each kind, and nothing where all are kept. Method: short histories by hand, and long
/// random ones of a store that keeps its promises until a fault is planted in it.
/// </summary>
public sealed class SessionGuaranteesTests
{
    private static SessionStep Read(int session, string key, string? value, long revision) => new(session, "eu", SessionStepKind.Read, key, value, new(revision));

    private static SessionStep Put(int session, string key, string value, long revision) => new(session, "hub", SessionStepKind.Put, key, value, new(revision));

    private static SessionStep Delete(int session, string key, long revision) => new(session, "hub", SessionStepKind.Delete, key, null, new(revision));

    private static IEnumerable<SessionFault> Check(params SessionStep[] steps) => new SessionGuarantees().Check(steps).Select(violation => violation.Fault);

    [Fact]
    public void Sessions_that_see_their_writes_and_never_less_than_before_have_nothing_wrong() => Assert.Empty(Check(
        Read(1, "a", null, 0), Put(1, "a", "1", 5), Read(1, "a", "1", 5), Read(1, "a", "2", 7), Read(1, "b", null, 0), Delete(1, "a", 9), Read(1, "a", null, 0),
        Put(2, "a", "2", 7), Read(2, "a", "2", 7), Read(2, "a", null, 0), Read(2, "b", null, 0)));

    [Fact]
    public void A_session_that_has_seen_nothing_of_a_key_may_read_any_version_of_it() => Assert.Empty(Check(
        Put(1, "a", "1", 1), Put(1, "a", "2", 2), Delete(1, "a", 3), Put(1, "a", "4", 4),
        Read(2, "a", null, 0), Read(2, "a", "1", 1), Read(2, "a", "2", 2), Read(2, "a", null, 0), Read(2, "a", "4", 4),
        Read(3, "a", "2", 2), Read(4, "a", "4", 4)));

    [Theory]
    [InlineData("1", 1)]
    [InlineData(null, 0)]
    public void A_read_that_does_not_show_the_own_write_is_found(string? value, long revision) => Assert.Equal(
        [SessionFault.ReadYourWrites], Check(Put(2, "a", "1", 1), Put(1, "a", "2", 2), Read(1, "a", value, revision)));

    [Fact]
    public void A_read_that_shows_what_the_session_has_removed_is_found() => Assert.Equal(
        [SessionFault.ReadYourWrites], Check(Put(1, "a", "1", 1), Delete(1, "a", 2), Read(1, "a", "1", 1)));

    [Theory]
    [InlineData("1", 1)]
    [InlineData(null, 0)]
    public void A_read_that_goes_back_is_found(string? value, long revision) => Assert.Equal(
        [SessionFault.MonotonicReads], Check(Put(2, "a", "1", 1), Put(2, "a", "2", 2), Read(1, "a", "2", 2), Read(1, "a", value, revision)));

    [Fact]
    public void A_read_that_goes_back_behind_a_removal_is_found() => Assert.Equal(
        [SessionFault.MonotonicReads],
        Check(Put(2, "a", "1", 1), Delete(2, "a", 2), Put(2, "a", "3", 3), Read(1, "a", "1", 1), Read(1, "a", "3", 3), Read(1, "a", null, 0)));

    [Fact]
    public void A_read_behind_what_the_session_has_seen_of_another_key_is_found() => Assert.Equal(
        [SessionFault.Prefix], Check(Put(2, "a", "1", 1), Put(2, "a", "2", 2), Put(2, "b", "3", 3), Read(1, "b", "3", 3), Read(1, "a", "1", 1)));

    [Fact]
    public void What_was_never_written_is_found_by_its_value_and_by_its_revision() => Assert.Equal(
        [SessionFault.NeverWritten, SessionFault.NeverWritten, SessionFault.NeverWritten],
        Check(Put(1, "a", "1", 1), Read(2, "a", "2", 1), Read(2, "a", "1", 2), Read(2, "b", "1", 1)));

    [Fact]
    public void A_write_that_is_not_after_what_the_session_saw_and_a_revision_that_two_writes_have_are_found()
    {
        Assert.Equal([SessionFault.WritesFollowReads], Check(Put(2, "a", "1", 5), Read(1, "a", "1", 5), Put(1, "b", "2", 4)));
        Assert.Equal([SessionFault.RevisionTwice], Check(Put(1, "a", "1", 5), Put(2, "a", "2", 5)));
    }

    [Fact]
    public void A_history_that_comes_in_parts_is_one()
    {
        var checker = new SessionGuarantees();
        Assert.Empty(checker.Check([Put(1, "a", "1", 1), Read(2, "a", "1", 1)]));
        Assert.Empty(checker.Check([Put(1, "a", "2", 2), Read(2, "a", "2", 2)]));
        var violation = Assert.Single(checker.Check([Read(1, "a", "1", 1)]));
        Assert.Equal("ReadYourWrites: session 1, Read of a at eu: '1' at revision 1, and the session had seen 2, where the key was of 2", violation.ToString());
        Assert.Equal(SessionFault.MonotonicReads, Assert.Single(checker.Check([Read(2, "a", "1", 1)])).Fault);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Of_sessions_that_hop_between_nodes_only_one_that_forgets_what_it_saw_is_found(bool forgets)
    {
        var faults = new HashSet<SessionFault>();
        for (var seed = 1; seed <= 20; seed++)
        {
            faults.UnionWith(new SessionGuarantees().Check(Run(new(seed), forgets)).Select(violation => violation.Fault));
        }

        // That a key is absent is explained by a removal after what the session had seen, where there is one: its next write may then be before it.
        SessionFault[] expected = forgets
            ? [SessionFault.ReadYourWrites, SessionFault.MonotonicReads, SessionFault.Prefix, SessionFault.WritesFollowReads]
            : [];
        Assert.Equal(expected.AsEnumerable(), faults.Order());
    }

    /// <summary>Four sessions on three nodes, of which two are behind; a read goes to any that has what the session has seen.</summary>
    /// <param name="forgets">The fault: a session that changes nodes knows of nothing that it saw.</param>
    private static List<SessionStep> Run(Random random, bool forgets)
    {
        var steps = new List<SessionStep>();
        var log = new List<(string Key, string? Value)>();
        var nodes = new int[3];
        var (floors, places) = (new int[4], new int[4]);
        for (var i = 0; i < 2_000; i++)
        {
            var node = random.Next(1, 3);
            nodes[0] = log.Count;
            nodes[node] = random.Next(20) == 0 ? random.Next(nodes[node], log.Count + 1) : nodes[node];
            var (session, key, choice) = (random.Next(4), $"k{random.Next(3)}", random.Next(10));
            if (choice == 0)
            {
                log.Add((key, random.Next(4) == 0 ? null : $"v{i}"));
                floors[session] = log.Count;
                steps.Add(log[^1].Value is { } value ? Put(session, key, value, log.Count) : Delete(session, key, log.Count));
            }
            else if (choice == 1)
            {
                places[session] = random.Next(3);
                floors[session] = forgets ? 0 : floors[session];
            }
            else if (nodes[places[session]] is var at && at >= floors[session])
            {
                var last = at - 1;
                while (last >= 0 && log[last].Key != key)
                {
                    last--;
                }

                floors[session] = at;
                steps.Add(last >= 0 && log[last].Value is { } value ? Read(session, key, value, last + 1) : Read(session, key, null, 0));
            }
        }

        return steps;
    }
}
