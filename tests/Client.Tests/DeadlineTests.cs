using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client.Tests;

/// <summary>
/// Goal: an operation that names a deadline has that one, and no other operation has. Method: a client whose link is down, or whose node never
/// answers; time is the test's.
/// </summary>
public sealed class DeadlineTests
{
    private static readonly TimeSpan Own = TimeSpan.FromMilliseconds(100);

    private readonly PausedTime _time = new();

    /// <summary>Everything that takes a deadline.</summary>
    private static readonly Dictionary<string, Func<IQuicksilverClient, Task>> Operations = new()
    {
        ["get"] = client => client.Keyspace("k").GetAsync("a", new() { Deadline = Own }).AsTask(),
        ["get many"] = client => client.Keyspace("k").GetManyAsync(["a"], new() { Deadline = Own }).AsTask(),
        ["scan page"] = client => client.Keyspace("k").ScanPageAsync(new() { Read = new() { Deadline = Own } }, default).AsTask(),
        ["scan of keys"] = client => client.Keyspace("k").ScanKeysPageAsync(new() { Read = new() { Deadline = Own } }, default).AsTask(),
        ["find"] = client => client.Catalog.FindAsync("k", new() { Deadline = Own }).AsTask(),
        ["put"] = client => client.Keyspace("k").PutAsync("a", "v", new() { Deadline = Own }).AsTask(),
        ["delete"] = client => client.Keyspace("k").DeleteAsync("a", new() { Deadline = Own }).AsTask(),
        ["delete of a prefix"] = client => client.Keyspace("k").DeletePrefixAsync("a", new() { Deadline = Own }).AsTask(),
        ["commit"] = client => client.Keyspace("k").CommitAsync([], [Mutation.Delete("a")], new() { Deadline = Own }).AsTask(),
    };

    public static TheoryData<string> NamesOfOperations => [.. Operations.Keys];

    [Theory]
    [MemberData(nameof(NamesOfOperations))]
    public async Task An_operation_with_a_deadline_of_its_own_ends_then(string name)
    {
        var link = new TestLink(_time);
        await using var client = new QuicksilverClient(link, new(), _time);
        link.GoDown();
        var operation = Operations[name](client);
        _time.Advance(Own - TimeSpan.FromMilliseconds(1));
        Assert.False(operation.IsCompleted);
        _time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.Equal(QuicksilverErrorCode.Unavailable, (await Assert.ThrowsAsync<QuicksilverException>(() => operation)).Code);
    }

    [Fact]
    public async Task A_get_with_a_deadline_of_its_own_waits_behind_no_other_and_takes_no_time_from_it()
    {
        var node = new SilentNode();
        await using var client = new QuicksilverClient(new TestLink(_time, "a:1", node), new(), _time);
        var keyspace = client.Keyspace("k");
        var usual = new[] { "a", "b", "c" }.Select(key => keyspace.GetAsync(key).AsTask()).ToList();

        // The third waits for one of the first two to end, and so does one that names the client's own deadline.
        usual.Add(keyspace.GetAsync("d", new() { Deadline = QuicksilverClientOptions.DefaultDeadline }).AsTask());
        Assert.Equal(2, node.Gets);
        var own = keyspace.GetAsync("e", new() { Deadline = TimeSpan.FromSeconds(1) }).AsTask();
        Assert.Equal(3, node.Gets);
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(QuicksilverErrorCode.Unavailable, (await Assert.ThrowsAsync<QuicksilverException>(() => own)).Code);
        Assert.All(usual, get => Assert.False(get.IsCompleted));
        Assert.Equal(3, node.Gets);
    }

    /// <summary>Knows every keyspace, and answers no get.</summary>
    private sealed class SilentNode : INodeCalls
    {
        private int _gets;

        public int Gets => Volatile.Read(ref _gets);

        public ValueTask<AnswerContext> PingAsync() => throw new NotSupportedException();

        public ValueTask<ResolveAnswer> ResolveAsync(KeyspaceName name, ReadRequirement requirement, CancellationToken cancellation) =>
            new(new ResolveAnswer(ReadStatus.Ok, default, new(new(7), name, KeyspaceSettings.Default, new(1)), null));

        public ValueTask<ListKeyspacesAnswer> ListKeyspacesAsync(ListKeyspacesRequest request, CancellationToken cancellation) => throw new NotSupportedException();

        public ValueTask<GetManyAnswer> GetManyAsync(ShardId shard, GetManyRequest request, CancellationToken cancellation)
        {
            Interlocked.Increment(ref _gets);
            return new(new TaskCompletionSource<GetManyAnswer>().Task);
        }

        public ValueTask<ScanAnswer> ScanAsync(KeyspaceId keyspace, ScanRequest request, CancellationToken cancellation) => throw new NotSupportedException();

        public ValueTask<WatchAnswer> WatchAsync(KeyspaceId keyspace, WatchRequest request, CancellationToken cancellation) => throw new NotSupportedException();

        public ValueTask<CommitManyAnswer> CommitAsync(ShardId shard, CommitManyRequest request, CancellationToken cancellation) => throw new NotSupportedException();

        public ValueTask<CommitManyAnswer> CommitKeyspacesAsync(CommitManyRequest request, CancellationToken cancellation) => throw new NotSupportedException();
    }
}
