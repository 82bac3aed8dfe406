using System.Collections;
using System.Reflection;
using Microsoft.Extensions.DependencyInjection;
using Orleans;
using Orleans.Serialization;
using Quicksilver.Contracts;

namespace Quicksilver.Model.Tests;

/// <summary>
/// Goal: everything that travels in a grain call arrives as it was sent. Method: samples of every serializable type through
/// Orleans' serializer, compared field by field; a list of the types themselves keeps the samples complete.
/// </summary>
public sealed class SerializerTests : IDisposable
{
    private static readonly ClusterUuid Cluster = new(0x0102030405060708, 0x1112131415161718);
    private static readonly LogPosition Position = new(new(3), new(0x21, 0x22), new(long.MaxValue));
    private static readonly ChainHash Chain = new(ulong.MaxValue, 7);
    private static readonly NodeId Node = NodeId.Parse("eu-0");
    private static readonly RegionName Region = RegionName.Parse("eu");
    private static readonly OperationId Operation = new(new(1_700_000_000_000), ulong.MaxValue, 5);
    private static readonly Payload Bytes = new(new byte[] { 0, 1, 2, 255 });
    private static readonly AnswerContext Context = new(Cluster, Position, new(99), "hub:5022");
    private static readonly KeyspaceSettings Settings = new() { ShardCount = 1024, SkipUnchanged = true };
    private static readonly KeyspaceInfo Keyspace = new(new(uint.MaxValue), KeyspaceName.Parse("flags"), Settings, new(12));
    private static readonly ReadRequirement Requirement = new(ReadConsistency.Linearizable, Cluster, Position, true);
    private static readonly ChildStatus Child = new(Node, Region, "eu:5022", new(44));
    private static readonly NodeStatus Status = new(
        Node, NodeRole.Replica, Region, "eu:5022", Cluster, Position, Chain, RaftRole.Candidate, new(5), 17, TimeSpan.FromTicks(123), "pulling",
        ["a:1", "b:2"], [Child, Child with { Gateway = "x" }], 3, "0.1.0", TimeSpan.FromHours(2), 12_345, 6, 7, ["hub-0", "hub-1"], [Node], new(8), ["flags"]);

    /// <summary>Samples by type. Each field is set in at least one sample of its type.</summary>
    private static readonly object[] Samples =
    [
        new Revision(long.MaxValue), Revision.None, new Term(5), new KeyspaceSequence(6), Chain, new LogIndex(7), new LogTime(8), new LogId(9), Position,
        LogPosition.None, new HistoryId(1, ulong.MaxValue), Cluster, Node, default(NodeId), Region, default(RegionName), Operation,
        KeyspaceName.Parse("flags"), default(KeyspaceName), new KeyspaceId(uint.MaxValue), new ShardId(new(5), 1023), new SlotId(1023), Settings,
        KeyspaceSettings.Default, Keyspace, new SessionToken(Cluster, Position), new WatchCursor(Cluster, new(5), Position),
        CommitOutcome.Committed(new(5)), CommitOutcome.Unchanged(new(6)), CommitOutcome.ConditionFailed(3, new(7)), CommitOutcome.OperationIdReused,
        CommitOutcome.Expired, CommitOutcome.FromFuture, CommitOutcome.KeyspaceNotFound, CommitOutcome.KeyspaceExists(new(8)),
        CommitOutcome.Invalid("because"), CommitOutcome.Overloaded(TimeSpan.FromMilliseconds(50)), CommitOutcome.Unavailable, CommitOutcome.Unknown, CommitOutcome.TooManyRows(new(9)),
        new OpenPullRequest(Node, Region, "eu:1", Cluster, Position, Chain, PageEncoding.Zstd, ["flags", "route-*"]),
        new OpenPullAnswer(OpenPullStatus.Unavailable, 5, Cluster, Position, new(4), new(99), [Node], Chain),
        new SourceDescription(Node, Cluster, Position, new(4), TimeSpan.FromSeconds(3), [Node]), new SourceDescription(Node, Cluster, Position, new(4), null, []),
        new NextPageRequest(5, 6, new(7), 8, TimeSpan.FromSeconds(3), TimeSpan.FromMilliseconds(4)),
        new LogPage(PageStatus.SourceDamaged, Cluster, Position, new(4), new(99), TimeSpan.MaxValue, new(10), new(20), Bytes),
        new LogPage(PageStatus.Ok, default, default, default, default, default, new(1), new(1), default),
        new LogPage(PageStatus.Ok, Cluster, Position, new(4), new(99), TimeSpan.Zero, new(10), new(20), Bytes, [Node, Node], PageEncoding.Zstd, 99, Chain, 7),
        new OpenSnapshotRequest(Node, Region, Cluster, ["flags"], ["routes"], true, new(7)), new OpenSnapshotAnswer(SnapshotStatus.Ok, 5, Bytes),
        new NextBlockRequest(5, SnapshotSection.Records, Bytes, 8), new NextBlockAnswer(SnapshotStatus.SourceDamaged, Bytes),
        Context, Context with { WriteGateway = null }, new NodeHealth(Context, "lags"), new NodeHealth(Context, null), new CallId(7, 9), new CommitManyRequest(Bytes) { Call = new(7, 9), Cluster = Cluster },
        new CommitManyAnswer([CommitOutcome.Committed(new(5)), CommitOutcome.Invalid("x")], Context), new CommitManyAnswer([], Context),
        Requirement, new GetManyRequest(Requirement, Bytes), new GetManyAnswer(ReadStatus.Overloaded, Context, Bytes, "problem"),
        new GetManyAnswer(ReadStatus.Ok, Context, default, null), new ScanRequest(Requirement, Bytes, Bytes, Bytes, 10, Bytes) { Flags = ScanFlags.KeysOnly | ScanFlags.Reverse },
        new ScanRequest(default, default, default, default, 0, default), new ScanAnswer(ReadStatus.Invalid, Context, Bytes, Bytes, "problem"),
        new WatchRequest(Requirement, Bytes, Position, 9, TimeSpan.FromSeconds(3)), new WatchRequest(default, default, null, 0, default),
        new WatchAnswer(ReadStatus.TooOld, Context, Bytes, Position, new(4), "problem"), new WatchAnswer(ReadStatus.Ok, Context, default, Position, new(4), null),
        new ResolveAnswer(ReadStatus.Ok, Context, Keyspace, "problem"), new ResolveAnswer(ReadStatus.KeyspaceNotFound, Context, null, null),
        new ListKeyspacesRequest(Requirement, KeyspaceName.Parse("a"), 5), new ListKeyspacesRequest(Requirement, null, 5),
        new ListKeyspacesAnswer(ReadStatus.Ok, Context, [Keyspace, Keyspace with { Id = new(1) }], true, "problem"),
        new PinAnswer(5, Cluster, Position, "problem"), new StateHashAnswer(Position, Chain, Chain with { Low = 1 }, 100, "problem"),
        Child, Status, Status with { LagRevisions = null, Lag = null, Upstreams = [], Children = [] },
        new HubMembersAnswer(HubAnswerStatus.Ok, [new(NodeId.Parse("hub-1"), "127.0.0.1:2")], NodeId.Parse("hub-0"), new(77), "problem", [new(NodeId.Parse("hub-3"), "127.0.0.1:3")], Cluster), new HubMemberInfo(NodeId.Parse("hub-1"), "127.0.0.1:1"),
        new HubChangeAnswer(HubAnswerStatus.UnderWay, "problem"),
        new HubProgress(Cluster, Position, Chain, new(3), new(88), new(99), 1, new(7), new(55), [new(NodeId.Parse("hub-1"), "127.0.0.1:1")], new(66), [new(NodeId.Parse("hub-3"), "127.0.0.1:3")]),
        new ClusterStatus(Context, [Status, Status with { Lag = null }], ["silent-0"]),
    ];

    private readonly ServiceProvider _services = new ServiceCollection().AddSerializer(serializer =>
        serializer.AddAssembly(typeof(Revision).Assembly).AddAssembly(typeof(NodeStatus).Assembly)).BuildServiceProvider();

    private Serializer Serializer => _services.GetRequiredService<Serializer>();

    private static IEnumerable<Type> SerializableTypes => new[] { typeof(Revision).Assembly, typeof(NodeStatus).Assembly }
        .SelectMany(assembly => assembly.GetTypes())
        .Where(type => type.GetCustomAttribute<GenerateSerializerAttribute>() is not null);

    private static FieldInfo[] Fields(Type type) => type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic);

    /// <summary>All fields as text, down to the bytes.</summary>
    private static string Dump(object? value) => value switch
    {
        null => "null",
        string text => $"\"{text}\"",
        Payload payload => Convert.ToHexString(payload.Span),
        IEnumerable list => $"[{string.Join(", ", list.Cast<object?>().Select(Dump))}]",
        _ when value.GetType() is { IsPrimitive: true } or { IsEnum: true } || value is TimeSpan => $"{value}",
        _ => $"{value.GetType().Name}({string.Join(", ", Fields(value.GetType()).Select(field => $"{field.Name}={Dump(field.GetValue(value))}"))})",
    };

    [Fact]
    public void Every_sample_arrives_as_it_was_sent()
    {
        foreach (var sample in Samples)
        {
            // As a grain call carries it: the static type is known to both ends, and where it is not, the value tells.
            var received = Serializer.Deserialize<object>(Serializer.SerializeToArray(sample));
            Assert.Equal(sample.GetType(), received!.GetType());
            Assert.Equal(Dump(sample), Dump(received));
        }
    }

    [Fact]
    public void Every_sample_survives_the_copy_of_a_local_call()
    {
        var copier = _services.GetRequiredService<DeepCopier>();
        foreach (var sample in Samples)
        {
            Assert.Equal(Dump(sample), Dump(copier.Copy(sample)));
        }
    }

    [Fact]
    public void There_is_a_sample_of_every_serializable_type_and_of_every_field()
    {
        foreach (var type in SerializableTypes.Where(type => !type.IsAssignableTo(typeof(Exception))))
        {
            var samples = Samples.Where(sample => sample.GetType() == type).ToList();
            Assert.True(samples.Count > 0, $"There is no sample of {type}.");
            foreach (var field in Fields(type))
            {
                var empty = field.FieldType.IsValueType ? Dump(Activator.CreateInstance(field.FieldType)) : "null";
                Assert.True(samples.Exists(sample => Dump(field.GetValue(sample)) != empty), $"No sample of {type} sets {field.Name}.");
            }
        }
    }

    [Fact]
    public void Every_serializable_type_has_an_alias_of_its_own_so_that_it_can_be_renamed()
    {
        var aliases = SerializableTypes.Select(type => type.GetCustomAttribute<AliasAttribute>()?.Alias ?? $"none: {type}").ToList();
        Assert.All(aliases, alias => Assert.StartsWith("qs.", alias, StringComparison.Ordinal));
        Assert.Equal(aliases.Count, aliases.Distinct().Count());
    }

    [Fact]
    public void There_is_a_sample_of_every_kind_of_outcome() => Assert.Equal(
        Enum.GetValues<CommitKind>().Where(kind => kind != CommitKind.Unspecified),
        Samples.OfType<CommitOutcome>().Select(outcome => outcome.Kind).Order());

    [Fact]
    public void An_exception_arrives_with_all_it_says()
    {
        var sent = new QuicksilverException(
            QuicksilverErrorCode.Overloaded, "full", WriteOutcome.Unknown, new QuicksilverException(QuicksilverErrorCode.NotYet, "inner"))
        {
            RetryAfter = TimeSpan.FromMilliseconds(50), OperationId = Operation, Position = Position,
        };
        var received = Serializer.Deserialize<QuicksilverException>(Serializer.SerializeToArray(sent));
        Assert.Equal((sent.Code, sent.Outcome, sent.Message), (received!.Code, received.Outcome, received.Message));
        Assert.Equal((sent.RetryAfter, sent.OperationId, sent.Position), (received.RetryAfter, received.OperationId, received.Position));
        Assert.Equal(QuicksilverErrorCode.NotYet, Assert.IsType<QuicksilverException>(received.InnerException).Code);

        var bare = Serializer.Deserialize<Exception>(Serializer.SerializeToArray<Exception>(new QuicksilverException(QuicksilverErrorCode.NotYet, "x")));
        var typed = Assert.IsType<QuicksilverException>(bare);
        Assert.Equal((null, null, null), (typed.RetryAfter, typed.OperationId, typed.Position));
        Assert.Equal(WriteOutcome.NotAWrite, typed.Outcome);
    }

    [Fact]
    public void A_malformed_data_exception_arrives_with_its_message()
    {
        var received = Serializer.Deserialize<Exception>(Serializer.SerializeToArray<Exception>(new MalformedDataException("why")));
        Assert.Equal("why", Assert.IsType<MalformedDataException>(received).Message);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(127)]
    [InlineData(128)]
    [InlineData(1_000_000)]
    [InlineData(Limits.MaxMessageBytes)]
    public void A_payload_of_any_size_arrives(int size)
    {
        var bytes = new byte[size];
        new Random(size).NextBytes(bytes);
        var received = Serializer.Deserialize<CommitManyRequest>(Serializer.SerializeToArray(new CommitManyRequest(new(bytes))));
        Assert.Equal(bytes, received!.Commands.Memory.ToArray());
    }

    [Fact]
    public void A_payload_that_claims_more_than_any_message_has_is_refused_without_making_room_for_it()
    {
        var sent = Serializer.SerializeToArray(new Payload(new byte[Limits.MaxMessageBytes + 1]));
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<MalformedDataException>(() => Serializer.Deserialize<Payload>(sent));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1_000_000);
    }

    public void Dispose() => _services.Dispose();
}
