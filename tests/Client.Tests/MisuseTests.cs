using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client.Tests;

/// <summary>
/// Goal: whatever an application gives to the client, it hears at once and by a documented exception what is wrong with it, and nothing is sent.
/// Method: a table of wrong arguments, and all operations of a client that was disposed or whose caller has given up; a link over which nothing
/// is ever answered, so that only what ends before it is asked for ends at all.
/// </summary>
public sealed class MisuseTests : IAsyncDisposable
{
    private static readonly byte[] TooLongKey = new byte[Limits.MaxKeyBytes + 1];
    private static readonly LogPosition Negative = new(LogId.Main, new(3, 4), new(-1));
    private static readonly WatchCursor Cursor = new(new(1, 2), new(7), new(LogId.Main, new(3, 4), new(5)));

    private readonly PausedTime _time = new();
    private readonly TestLink _link;
    private readonly QuicksilverClient _client;

    public MisuseTests()
    {
        _link = new(_time);
        _client = new(_link, new(), _time);
        _link.GoDown();
    }

    /// <summary>What is an <see cref="ArgumentException"/>, or one of its kinds.</summary>
    private static readonly Dictionary<string, Func<IQuicksilverClient, Task>> WrongArguments = new()
    {
        ["keyspace without a name"] = client => Now(() => client.Keyspace(null!)),
        ["keyspace with an empty name"] = client => Now(() => client.Keyspace("")),
        ["keyspace with capitals"] = client => Now(() => client.Keyspace("Flags")),
        ["keyspace with a name too long"] = client => Now(() => client.Keyspace(new('k', 64))),
        ["keyspace with a huge name"] = client => Now(() => client.Keyspace(new('k', 10_000_000))),
        ["session of a negative revision"] = client => Now(() => client.Session = new SessionToken(new(1, 2), Negative)),
        ["session of a negative log"] = client => Now(() => client.Session = new SessionToken(new(1, 2), new(new(-1), new(3, 4), new(5)))),

        ["get of no key"] = client => client.Keyspace("k").GetAsync(default).AsTask(),
        ["get of a null key"] = client => Now(() => client.Keyspace("k").GetAsync((string)null!).AsTask()),
        ["get of a key too long"] = client => Now(() => client.Keyspace("k").GetAsync(Key.From(TooLongKey)).AsTask()),
        ["get without a consistency"] = client => client.Keyspace("k").GetAsync("a", new() { Consistency = ReadConsistency.Unspecified }).AsTask(),
        ["get with an unknown consistency"] = client => client.Keyspace("k").GetAsync("a", new() { Consistency = (ReadConsistency)99 }).AsTask(),
        ["get at a negative revision"] = client => client.Keyspace("k").GetAsync("a", ReadOptions.AtLeast(Negative)).AsTask(),
        ["get in no time"] = client => client.Keyspace("k").GetAsync("a", new() { Deadline = TimeSpan.Zero }).AsTask(),
        ["get with no deadline at all"] = client => client.Keyspace("k").GetAsync("a", new() { Deadline = Timeout.InfiniteTimeSpan }).AsTask(),
        ["get in more than a day"] = client => client.Keyspace("k").GetAsync("a", new() { Deadline = TimeSpan.FromHours(24) + TimeSpan.FromTicks(1) }).AsTask(),
        ["get many of nothing"] = client => client.Keyspace("k").GetManyAsync(null!).AsTask(),
        ["get many of no keys"] = client => client.Keyspace("k").GetManyAsync([]).AsTask(),
        ["get many of one key that is none"] = client => client.Keyspace("k").GetManyAsync(["a", default]).AsTask(),
        ["get many of too many keys"] = client => client.Keyspace("k").GetManyAsync([.. Enumerable.Repeat<Key>("a", Limits.MaxKeysPerRead + 1)]).AsTask(),

        ["put to no key"] = client => Now(() => client.Keyspace("k").PutAsync(default, "v").AsTask()),
        ["put of no text"] = client => Now(() => client.Keyspace("k").PutAsync("a", (string)null!).AsTask()),
        ["put of a value too long"] = client => Now(() => client.Keyspace("k").PutAsync("a", new byte[Limits.MaxValueBytes + 1]).AsTask()),
        ["put of metadata too long"] = client => Put(client, new() { Metadata = new byte[Limits.MaxMetadataBytes + 1] }),
        ["put for no time"] = client => Put(client, new() { TimeToLive = TimeSpan.Zero }),
        ["put for a negative time"] = client => Put(client, new() { TimeToLive = TimeSpan.FromSeconds(-1) }),
        ["put for too long"] = client => Put(client, new() { TimeToLive = TimeSpan.MaxValue }),
        ["put in no time"] = client => Put(client, new() { Deadline = TimeSpan.Zero }),
        ["put in more than a day"] = client => Put(client, new() { Deadline = TimeSpan.MaxValue }),
        ["put at a negative revision"] = client => Put(client, new() { IfRevision = new(-1) }),
        ["put where absent and at a revision"] = client => Put(client, new() { IfAbsent = true, IfRevision = new(5) }),
        ["put with an operation id that is none"] = client => Put(client, new() { OperationId = default(OperationId) }),
        ["put with an operation id before time"] = client => Put(client, new() { OperationId = new OperationId(new(-1), 1, 2) }),

        ["delete of no key"] = client => Now(() => client.Keyspace("k").DeleteAsync(default).AsTask()),
        ["delete at a negative revision"] = client => Delete(client, new() { IfRevision = new(-1) }),
        ["delete where absent"] = client => Delete(client, new() { IfAbsent = true }),
        ["delete in no time"] = client => Delete(client, new() { Deadline = TimeSpan.FromTicks(1) }),
        ["delete with metadata"] = client => Delete(client, new() { Metadata = new byte[1] }),
        ["delete for a time"] = client => Delete(client, new() { TimeToLive = TimeSpan.FromSeconds(1) }),

        ["commit without conditions"] = client => Now(() => client.Keyspace("k").CommitAsync(null!, [Mutation.Delete("a")]).AsTask()),
        ["commit without mutations"] = client => Now(() => client.Keyspace("k").CommitAsync([], null!).AsTask()),
        ["commit of nothing"] = client => Commit(client, [], []),
        ["commit of a mutation that is none"] = client => Commit(client, [], [default]),
        ["commit of a put to no key"] = client => Commit(client, [], [Mutation.Put(default, new byte[1])]),
        ["commit of two mutations of a key"] = client => Commit(client, [], [Mutation.Put("a", new byte[1]), Mutation.Delete("a")]),
        ["commit of too many mutations"] = client => Commit(client, [], [.. Enumerable.Range(0, Limits.MaxMutations + 1).Select(i => Mutation.Delete($"{i}"))]),
        ["commit of too many bytes"] = client => Commit(client, [], [.. Enumerable.Range(0, 5).Select(i => Mutation.Put($"{i}", new byte[Limits.MaxValueBytes]))]),
        ["commit with a condition that is none"] = client => Commit(client, [default], [Mutation.Delete("a")]),
        ["commit with too many conditions"] = client => Commit(client, [.. Enumerable.Range(0, Limits.MaxConditions + 1).Select(i => Condition.Absent($"{i}"))], [Mutation.Delete("a")]),
        ["commit with too many conditions that look back"] = client => Commit(
            client, [.. Enumerable.Range(0, Limits.MaxChangeConditions + 1).Select(i => Condition.UnchangedSince($"{i}", new(1)))], [Mutation.Delete("a")]),
        ["commit at a revision"] = client => Commit(client, [], [Mutation.Delete("a")], new() { IfRevision = new(5) }),
        ["commit where absent"] = client => Commit(client, [], [Mutation.Delete("a")], new() { IfAbsent = true }),
        ["commit in no time"] = client => Commit(client, [], [Mutation.Delete("a")], new() { Deadline = TimeSpan.FromSeconds(-1) }),
        ["commit with metadata"] = client => Commit(client, [], [Mutation.Delete("a")], new() { Metadata = new byte[1] }),
        ["commit for a time"] = client => Commit(client, [], [Mutation.Delete("a")], new() { TimeToLive = TimeSpan.FromSeconds(1) }),
        ["commit with an operation id that is none"] = client => Commit(client, [], [Mutation.Delete("a")], new() { OperationId = default(OperationId) }),

        ["scan of pages without rows"] = client => Scan(client, new() { PageSize = 0 }),
        ["scan of pages with too many rows"] = client => Scan(client, new() { PageSize = Limits.MaxScanRows + 1 }),
        ["scan of a negative number of rows"] = client => Scan(client, new() { PageSize = -1 }),
        ["scan of a prefix too long"] = client => Scan(client, new() { Prefix = TooLongKey }),
        ["scan from a key too long"] = client => Scan(client, new() { Start = TooLongKey }),
        ["scan to a key too long"] = client => Scan(client, new() { End = TooLongKey }),
        ["scan of pages in no time"] = client => Scan(client, new() { Read = new() { Deadline = TimeSpan.Zero } }),
        ["scan without read options"] = client => Scan(client, new() { Read = null! }),
        ["scan with an unknown consistency"] = client => Scan(client, new() { Read = new() { Consistency = (ReadConsistency)99 } }),
        ["page of no scan"] = client => client.Keyspace("k").ScanPageAsync(null!, default).AsTask(),
        ["page without rows"] = client => client.Keyspace("k").ScanPageAsync(new() { PageSize = 0 }, default).AsTask(),

        ["watch of a prefix too long"] = client => Now(() => Next(client.Keyspace("k").WatchAsync(new() { Prefix = TooLongKey }))),
        ["watch from a negative revision"] = client => Now(() => Next(client.Keyspace("k").WatchAsync(new() { From = Cursor with { Position = Negative } }))),

        ["create without a name"] = client => Now(() => client.Catalog.CreateAsync(null!).AsTask()),
        ["create with a wrong name"] = client => Now(() => client.Catalog.CreateAsync("-").AsTask()),
        ["create without shards"] = client => Now(() => client.Catalog.CreateAsync("k", new() { ShardCount = 0 }).AsTask()),
        ["create with too many shards"] = client => Now(() => client.Catalog.CreateAsync("k", new() { ShardCount = Limits.SlotCount + 1 }).AsTask()),
        ["delete of a keyspace without a name"] = client => Now(() => client.Catalog.DeleteAsync(null!).AsTask()),
        ["find without a name"] = client => Now(() => client.Catalog.FindAsync(null!).AsTask()),
        ["find with an unknown consistency"] = client => Now(() => client.Catalog.FindAsync("k", new() { Consistency = (ReadConsistency)99 }).AsTask()),
        ["find in no time"] = client => Now(() => client.Catalog.FindAsync("k", new() { Deadline = TimeSpan.Zero }).AsTask()),
        ["list with an unknown consistency"] = client => Next(client.Catalog.ListAsync(new() { Consistency = (ReadConsistency)99 })),
    };

    /// <summary>Everything that asks a node.</summary>
    private static readonly Dictionary<string, Func<IQuicksilverClient, CancellationToken, Task>> Operations = new()
    {
        ["get"] = (client, stop) => client.Keyspace("k").GetAsync("a", cancellation: stop).AsTask(),
        ["get eventually"] = (client, stop) => client.Keyspace("k").GetAsync("a", ReadOptions.Eventual, stop).AsTask(),
        ["get linearizably"] = (client, stop) => client.Keyspace("k").GetAsync("a", ReadOptions.Linearizable, stop).AsTask(),
        ["get many"] = (client, stop) => client.Keyspace("k").GetManyAsync(["a", "b"], cancellation: stop).AsTask(),
        ["put"] = (client, stop) => client.Keyspace("k").PutAsync("a", new byte[1], cancellation: stop).AsTask(),
        ["put of text"] = (client, stop) => client.Keyspace("k").PutAsync("a", "v", cancellation: stop).AsTask(),
        ["put with an operation id"] = (client, stop) => client.Keyspace("k").PutAsync("a", "v", new() { OperationId = new OperationId(new(500), 1, 2) }, stop).AsTask(),
        ["delete"] = (client, stop) => client.Keyspace("k").DeleteAsync("a", cancellation: stop).AsTask(),
        ["commit"] = (client, stop) => client.Keyspace("k").CommitAsync([], [Mutation.Delete("a")], cancellation: stop).AsTask(),
        ["scan"] = (client, stop) => Next(client.Keyspace("k").ScanAsync(cancellation: stop)),
        ["scan page"] = (client, stop) => client.Keyspace("k").ScanPageAsync(new(), default, stop).AsTask(),
        ["watch"] = (client, stop) => Next(client.Keyspace("k").WatchAsync(cancellation: stop)),
        ["watch from a cursor"] = (client, stop) => Next(client.Keyspace("k").WatchAsync(new() { From = Cursor }, stop)),
        ["create"] = (client, stop) => client.Catalog.CreateAsync("k", cancellation: stop).AsTask(),
        ["delete a keyspace"] = (client, stop) => client.Catalog.DeleteAsync("k", stop).AsTask(),
        ["find"] = (client, stop) => client.Catalog.FindAsync("k", cancellation: stop).AsTask(),
        ["list"] = (client, stop) => Next(client.Catalog.ListAsync(cancellation: stop)),
    };

    public static TheoryData<string> NamesOfWrongArguments => [.. WrongArguments.Keys];

    public static TheoryData<string> NamesOfOperations => [.. Operations.Keys];

    /// <summary>What may end without a task.</summary>
    private static Task Now(Func<object?> call) => call() as Task ?? Task.CompletedTask;

    private static Task<CommitResult> Put(IQuicksilverClient client, WriteOptions options) => client.Keyspace("k").PutAsync("a", new byte[1], options).AsTask();

    private static Task<CommitResult> Delete(IQuicksilverClient client, WriteOptions options) => client.Keyspace("k").DeleteAsync("a", options).AsTask();

    private static Task<CommitResult> Commit(IQuicksilverClient client, Condition[] conditions, Mutation[] mutations, WriteOptions? options = null) =>
        client.Keyspace("k").CommitAsync(conditions, mutations, options).AsTask();

    private static Task Scan(IQuicksilverClient client, ScanOptions options) => Next(client.Keyspace("k").ScanAsync(options));

    private static async Task Next<T>(IAsyncEnumerable<T> sequence)
    {
        await using var enumerator = sequence.GetAsyncEnumerator(CancellationToken.None);
        await enumerator.MoveNextAsync();
    }

    /// <summary>What a call ends in; it must have ended when it returns, because nobody answers.</summary>
    private static async Task<Exception?> EndAtOnceAsync(Func<Task> call)
    {
        var ended = EndAsync();
        Assert.True(ended.IsCompleted, "It waits for an answer.");
        return await ended;

        async Task<Exception?> EndAsync()
        {
            try
            {
                await call();
                return null;
            }
            catch (Exception e)
            {
                return e;
            }
        }
    }

    [Theory]
    [MemberData(nameof(NamesOfWrongArguments))]
    public async Task A_wrong_argument_is_refused_before_anything_is_sent_and_in_few_words(string name)
    {
        var e = await EndAtOnceAsync(() => WrongArguments[name](_client));
        Assert.True(e is ArgumentException, $"{e}");
        Assert.InRange(e.Message.Length, 10, 300);
    }

    [Fact]
    public async Task A_cursor_that_is_longer_than_any_is_refused_before_anything_is_sent()
    {
        foreach (var length in new[] { 2_000, 100_000, 20_000_000 })
        {
            var e = await EndAtOnceAsync(() => _client.Keyspace("k").ScanPageAsync(new(), new byte[length], CancellationToken.None).AsTask());
            Assert.Equal(QuicksilverErrorCode.InvalidRequest, Assert.IsType<QuicksilverException>(e).Code);
        }
    }

    [Theory]
    [MemberData(nameof(NamesOfOperations))]
    public async Task An_operation_of_a_caller_that_has_given_up_is_cancelled_and_not_sent(string name)
    {
        // Also where the time is known, which a write would ask for first.
        for (var round = 0; round < 2; round++)
        {
            var e = await EndAtOnceAsync(() => Operations[name](_client, new(canceled: true)));
            Assert.True(e is OperationCanceledException { InnerException: null }, $"{e}");
            _client.SessionState.Learn(new(new(1, 2), default, new(500), null), default);
            await _link.ReplaceSessionAsync();
        }
    }

    [Theory]
    [MemberData(nameof(NamesOfOperations))]
    public async Task An_operation_of_a_client_that_was_disposed_says_so_at_once(string name)
    {
        await _client.DisposeAsync();
        Assert.IsType<ObjectDisposedException>(await EndAtOnceAsync(() => Operations[name](_client, CancellationToken.None)));

        // Wrong arguments stay what they are, and what asks nobody goes on.
        Assert.IsType<ArgumentException>(await EndAtOnceAsync(() => Commit(_client, [], [])));
        Assert.Null(_client.Session);
        await _client.DisposeAsync();
        Assert.True(_link.IsDisposed);
    }

    [Theory]
    [InlineData("get")]
    [InlineData("list")]
    [InlineData("scan page")]
    public async Task A_read_that_nobody_answers_is_unavailable_at_the_deadline_and_no_write(string name)
    {
        var read = Operations[name](_client, CancellationToken.None);
        _time.Advance(QuicksilverClientOptions.DefaultDeadline - TimeSpan.FromMilliseconds(1));
        Assert.False(read.IsCompleted);
        _time.Advance(TimeSpan.FromMilliseconds(1));
        var e = await Assert.ThrowsAsync<QuicksilverException>(() => read);
        Assert.Equal((QuicksilverErrorCode.Unavailable, WriteOutcome.NotAWrite, (OperationId?)null), (e.Code, e.Outcome, e.OperationId));
    }

    [Fact]
    public void Keys_mutations_and_conditions_out_of_their_limits_are_never_made()
    {
        Assert.Throws<ArgumentNullException>(() => Key.From((string)null!));
        Assert.Throws<ArgumentException>(() => Key.From(""));
        Assert.Throws<ArgumentException>(() => Key.From([]));
        Assert.Throws<ArgumentException>(() => Key.From(TooLongKey));
        Assert.Throws<ArgumentException>(() => Mutation.Put("a", new byte[Limits.MaxValueBytes + 1]));
        Assert.Throws<ArgumentException>(() => Mutation.Put("a", default, new byte[Limits.MaxMetadataBytes + 1]));
        Assert.Throws<ArgumentException>(() => Mutation.Put("a", default, timeToLive: TimeSpan.FromTicks(1)));
        Assert.Throws<ArgumentOutOfRangeException>(() => Condition.RevisionIs("a", new(-1)));
        Assert.Throws<ArgumentOutOfRangeException>(() => Condition.UnchangedSince("a", new(-1)));
        Assert.Throws<ArgumentOutOfRangeException>(() => Condition.PrefixUnchangedSince("a", new(-1)));
    }

    public ValueTask DisposeAsync() => _client.DisposeAsync();
}
