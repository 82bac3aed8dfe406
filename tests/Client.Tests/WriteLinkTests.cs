using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Client.Tests;

/// <summary>
/// Goal: writes find the gateway that takes them, never one of another cluster, and always a way back. Method: links that come and go as
/// the test says, and answers that name gateways.
/// </summary>
public sealed class WriteLinkTests : IAsyncDisposable
{
    private static readonly ClusterUuid Cluster = new(1, 2);

    private readonly PausedTime _time = new();
    private readonly TestLink _reads;
    private readonly Dictionary<string, TestLink> _opened = [];
    private readonly Dictionary<string, ClusterUuid> _clusters = [];
    private readonly WriteLink _writes;
    private int _opens;
    private ClusterUuid _own;

    public WriteLinkTests()
    {
        _reads = new(_time, "a:1");
        _writes = new(_reads, ["a:1", "b:1", "c:1"], Open, session => Task.FromResult(Context(null, _clusters.GetValueOrDefault(session.Gateway, Cluster))), _time, NullLogger.Instance, () => _own);
    }

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private TestLink Open(string gateway)
    {
        _opens++;
        return _opened[gateway] = new(_time, gateway);
    }

    private static AnswerContext Context(string? gateway, ClusterUuid? cluster = null) => new(cluster ?? Cluster, default, default, gateway);

    /// <summary>Two answers to writes: for one that is alone no other gateway is opened.</summary>
    private void Name(LinkSession from, string gateway)
    {
        var answer = new CommitManyAnswer([CommitOutcome.Committed(new(1))], Context(gateway));
        _writes.Learn(from, answer);
        _writes.Learn(from, answer);
    }

    private static CommitManyAnswer Nobody { get; } = new([CommitOutcome.Unavailable], Context(null));

    private Task Through(string gateway) => Eventually.TrueAsync(() => _writes.Current?.Gateway == gateway, $"writes through {gateway}", Stop);

    [Fact]
    public async Task Writes_go_through_the_gateway_that_an_answer_names_and_back_when_it_is_lost()
    {
        Assert.Equal("a:1", _writes.Current!.Gateway);
        Name(_reads.Current!, "b:1");
        await Through("b:1");
        Assert.Equal("b:1", (await _writes.ConnectAsync(TimeSpan.Zero, Stop)).Gateway);

        // It is the one: nothing to do.
        Name(_writes.Current!, "b:1");
        Assert.Equal(1, _opens);
        await _opened["b:1"].ReplaceSessionAsync();
        Assert.Equal("a:1", _writes.Current!.Gateway);

        // Named again, it is gone to again.
        Name(_reads.Current!, "b:1");
        await Through("b:1");
    }

    [Fact]
    public async Task Writes_follow_from_gateway_to_gateway_and_stay_with_that_of_reads_where_it_is_the_one()
    {
        Name(_reads.Current!, "b:1");
        await Through("b:1");
        Name(_writes.Current!, "c:1");
        await Through("c:1");
        Name(_reads.Current!, "a:1");
        Assert.Equal("a:1", _writes.Current!.Gateway);

        // Calls may still be on the links that were left.
        _time.Advance(TimeSpan.FromSeconds(14));
        Assert.False(_opened["b:1"].IsDisposed);
        _time.Advance(TimeSpan.FromSeconds(1));
        await Eventually.TrueAsync(() => _opened["b:1"].IsDisposed && _opened["c:1"].IsDisposed, "closed links", Stop);
    }

    [Fact]
    public async Task A_gateway_of_another_cluster_is_not_written_through_and_not_asked_again_for_a_while()
    {
        _clusters["b:1"] = new(8, 8);
        Name(_reads.Current!, "b:1");
        await Eventually.TrueAsync(
            () =>
            {
                // To the end of what a link is kept for, and not beyond: the gateway would be asked again.
                _time.EndPause();
                return _opened["b:1"].IsDisposed;
            },
            "a link that was given up", Stop);
        Assert.Equal("a:1", _writes.Current!.Gateway);
        var opens = _opens;
        Name(_reads.Current!, "b:1");
        Assert.Equal(opens, _opens);
        _time.Advance(TimeSpan.FromSeconds(30));
        _clusters.Clear();
        Name(_reads.Current!, "b:1");
        await Through("b:1");
    }

    [Fact]
    public async Task A_gateway_that_has_nobody_to_hand_a_write_to_makes_another_be_tried_and_that_one_likewise()
    {
        _writes.Learn(_reads.Current!, Nobody);
        await Eventually.TrueAsync(() => _writes.Current!.Gateway is "b:1" or "c:1", "writes through another gateway", Stop);
        var other = _writes.Current!;
        _writes.Learn(other, Nobody);
        Assert.Equal("a:1", _writes.Current!.Gateway);
        _writes.Learn(_reads.Current!, Nobody);
        await Eventually.TrueAsync(() => _writes.Current!.Gateway != "a:1" && _writes.Current!.Gateway != other.Gateway, "writes through the third gateway", Stop);
    }

    [Fact]
    public async Task What_an_answer_of_another_cluster_says_of_gateways_is_not_heeded_and_its_gateway_left()
    {
        Name(_reads.Current!, "b:1");
        await Through("b:1");
        _own = new(5, 5);
        Name(_writes.Current!, "c:1");
        Assert.Equal("a:1", _writes.Current!.Gateway);
        Name(_reads.Current!, "c:1");
        _writes.Learn(_reads.Current!, Nobody);
        Assert.Equal(1, _opens);
    }

    [Fact]
    public async Task After_the_followed_gateway_was_lost_another_is_tried_where_that_of_reads_has_nobody()
    {
        Name(_reads.Current!, "b:1");
        await Through("b:1");
        await _opened["b:1"].ReplaceSessionAsync();
        Assert.Equal("a:1", _writes.Current!.Gateway);
        _writes.Learn(_reads.Current!, Nobody);
        await Eventually.TrueAsync(() => _writes.Current!.Gateway != "a:1", "writes through another gateway", Stop);
    }

    [Fact]
    public void Whoever_writes_once_gets_no_second_link()
    {
        _writes.Learn(_reads.Current!, new([CommitOutcome.Committed(new(1))], Context("b:1")));
        Assert.Equal(0, _opens);
    }

    [Fact]
    public void An_answer_of_a_node_that_belongs_to_no_cluster_yet_is_not_followed()
    {
        for (var i = 0; i < 3; i++)
        {
            _writes.Learn(_reads.Current!, new([CommitOutcome.Committed(new(1))], Context("b:1", default(ClusterUuid))));
        }

        Assert.Equal(0, _opens);
    }

    [Theory]
    [InlineData("")]
    [InlineData("nowhere")]
    [InlineData("::1:1")]
    public void A_name_that_is_no_address_is_not_gone_to_and_the_answer_with_it_is_heard(string gateway)
    {
        Name(_reads.Current!, gateway);
        Assert.Equal(0, _opens);
        Assert.Equal("a:1", _writes.Current!.Gateway);
    }

    public async ValueTask DisposeAsync()
    {
        await _writes.DisposeAsync();
        Assert.All(_opened.Values, link => Assert.True(link.IsDisposed));
        Assert.False(_reads.IsDisposed);
        await _reads.DisposeAsync();
    }
}
