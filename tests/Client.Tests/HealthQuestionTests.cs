using Microsoft.Extensions.Time.Testing;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client.Tests;

/// <summary>
/// Goal: a node of an older version is a node as any other, and a silent one is not taken for it. Method: questions that are answered as the test says.
/// </summary>
public sealed class HealthQuestionTests
{
    private static readonly AnswerContext Context = new(new(1, 2), default, default, null);
    private static readonly GatewayHello Hello = new("qs-eu", "quicksilver", NodeId.Parse("eu-0"), RegionName.Parse("eu"), NodeRole.Replica, ["a:1"]);

    private readonly FakeTimeProvider _time = new();
    private readonly HealthQuestion _question;
    private Exception? _fails;
    private int _asked;
    private int _pinged;

    public HealthQuestionTests() => _question = new(
        _ =>
        {
            _asked++;
            return _fails is { } e ? Task.FromException<NodeHealth>(e) : Task.FromResult(new NodeHealth(Context, "the node has no data yet"));
        },
        _ =>
        {
            _pinged++;
            return Task.FromResult(Context);
        },
        _time);

    private static LinkSession Session() => new(null!, Hello, "a:1", CancellationToken.None);

    [Fact]
    public async Task A_node_that_does_not_know_the_question_is_ready_and_is_asked_it_again_after_a_while()
    {
        _fails = new ArgumentException("no such method");
        var session = Session();
        for (var i = 1; i <= 2; i++)
        {
            Assert.Null((await _question.AskAsync(session)).NotReady);
            Assert.Equal((1, i), (_asked, _pinged));
        }

        // Another session may be with another node, and what failed may have had another reason.
        _fails = null;
        Assert.NotNull((await _question.AskAsync(Session())).NotReady);
        Assert.Equal((2, 2), (_asked, _pinged));
        Assert.Null((await _question.AskAsync(session)).NotReady);
        _time.Advance(TimeSpan.FromMinutes(1));
        Assert.NotNull((await _question.AskAsync(session)).NotReady);
        Assert.Equal((3, 3), (_asked, _pinged));
    }

    [Fact]
    public async Task A_node_that_is_silent_is_asked_again()
    {
        _fails = new TimeoutException("no answer");
        await Assert.ThrowsAsync<TimeoutException>(() => _question.AskAsync(Session()));
        Assert.Equal((1, 0), (_asked, _pinged));
    }
}
