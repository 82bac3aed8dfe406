using Microsoft.Extensions.Time.Testing;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Replication.Tests;

/// <summary>
/// Goal: a replica claims no time it has not heard and no freshness it does not have. Method: the clock over a real replica's
/// store, pages of a real hub, fake time.
/// </summary>
public sealed class ReplicaLogClockTests : IDisposable
{
    private readonly TempDirectory _directory = new();
    private readonly FakeTimeProvider _time = new();
    private readonly HubStore _hub;

    public ReplicaLogClockTests()
    {
        _hub = new(_directory.Sub("hub"));
        Write(9);
    }

    private void Write(int count)
    {
        for (var i = 0; i < count; i++)
        {
            _hub.ApplyOne(_hub.Commands.Put(HubStore.Flags, "k", "v"));
        }
    }

    private LogPage Page(long from, long to) => Pages.Of(_hub, from, to);

    private LogTime Hub => _hub.Store.Progress.LogTime;

    [Fact]
    public void A_replica_that_started_again_does_not_know_the_time_until_it_has_heard_it()
    {
        using (var replica = new ReplicaStore(_directory.Sub("replica")))
        {
            new PageApplier(replica.Store).Apply(Page(1, 11));
        }

        using var again = new ReplicaStore(_directory.Sub("replica"));
        Assert.Equal(Hub, again.Store.Progress.LogTime);
        var clock = new ReplicaLogClock(again.Store, _time);
        Assert.Equal((LogTime.None, null), (clock.Now, clock.Age));

        // A source that does not know it either teaches none.
        clock.Hear(LogTime.None, new(10), _time.GetTimestamp());
        Assert.Equal(LogTime.None, clock.Now);
        clock.Hear(Hub.Add(TimeSpan.FromHours(1)), new(10), _time.GetTimestamp());
        _time.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal(Hub.Add(TimeSpan.FromHours(1) + TimeSpan.FromSeconds(2)), clock.Now);
    }

    [Fact]
    public void A_replica_that_keeps_up_with_a_source_that_is_always_ahead_does_not_fall_behind()
    {
        using var replica = new ReplicaStore(_directory.Sub("replica"));
        var applier = new PageApplier(replica.Store);
        var clock = new ReplicaLogClock(replica.Store, _time);
        for (var round = 0; round < 20; round++)
        {
            var next = replica.Store.Progress.Position.Revision.Next.Value;
            var page = Page(next, _hub.Store.Progress.Position.Revision.Next.Value);
            var arrived = _time.GetTimestamp();
            clock.Hear(page.LogTime, page.Source.Revision, arrived);

            // While it applies, another page arrives that says how far the source has come meanwhile.
            _time.Advance(TimeSpan.FromMilliseconds(100));
            Write(5);
            clock.Hear(page.LogTime, _hub.Store.Progress.Position.Revision, _time.GetTimestamp());
            applier.Apply(page);
            clock.Applied(page, arrived);
            Assert.Equal(TimeSpan.FromMilliseconds(100), clock.Age);
            Assert.Equal(5, clock.LagRevisions);
        }
    }

    [Fact]
    public void A_replica_that_does_not_get_what_its_source_has_falls_behind()
    {
        using var replica = new ReplicaStore(_directory.Sub("replica"));
        var clock = new ReplicaLogClock(replica.Store, _time);
        clock.Applied(Page(1, 11), _time.GetTimestamp());
        _time.Advance(TimeSpan.FromSeconds(1));
        Write(10);
        clock.Applied(Page(11, 15), _time.GetTimestamp());
        clock.Applied(Page(15, 21) with { SourceAge = TimeSpan.MaxValue }, _time.GetTimestamp());
        Assert.Equal(TimeSpan.FromSeconds(1), clock.Age);
        clock.Applied(Page(15, 21) with { SourceAge = TimeSpan.FromSeconds(3) }, _time.GetTimestamp());
        Assert.Equal(TimeSpan.FromSeconds(3), clock.Age);
    }

    public void Dispose()
    {
        _hub.Dispose();
        _directory.Dispose();
    }
}
