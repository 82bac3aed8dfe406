using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Client;
using Quicksilver.Local;
using Quicksilver.Model;
using Quicksilver.Storage;
using Quicksilver.Testing;
using Quicksilver.Testing.Checkers;

namespace Quicksilver.Cluster.Tests;

/// <summary>
/// A local cluster of real processes for one test, on ports and in a directory of its own. A node that ends itself because the other silos
/// of its region declared it dead is started again, as docs/operations.md leaves it to a supervisor: two seconds without processor time, which
/// a busy machine may give it, are enough for that. Whatever else ends a node is the test's own affair.
/// </summary>
public sealed class ProcessCluster : IAsyncDisposable
{
    private static readonly TimeSpan ReadyTimeout = TimeSpan.FromSeconds(90);

    /// <summary>What Orleans says as it ends a process that others declared dead.</summary>
    private const string DeclaredDead = "I have been told I am dead";

    private readonly TempDirectory _directory = new();

    private readonly MemberNetwork? _network;

    private readonly Func<string, IEnumerable<string>>? _under;

    private readonly ITestOutputHelper? _output = TestContext.Current.TestOutputHelper;

    private readonly CancellationTokenSource _end = new();

    private Task _supervisor = Task.CompletedTask;

    private int _restarts;

    private ProcessCluster(int hubs, string[] regions, int replicasPerRegion, MemberNetwork? network, Func<string, IEnumerable<string>>? under)
    {
        _network = network;
        _under = under;
        Nodes = LocalCluster.Create(
            new()
            {
                Hubs = hubs,
                Regions = regions,
                ReplicasPerRegion = replicasPerRegion,
                Data = _directory.Sub("cluster"),
                BasePort = Ports.FreeRange(4 * (hubs + (regions.Length * replicasPerRegion))),
                Addresses = network is null ? [] : [.. Enumerable.Range(0, hubs).Select(network.AddressOf)],
            },
            TimeProvider.System);
    }

    public LocalCluster Nodes { get; }

    public string Sub(string name) => _directory.Sub(name);

    /// <summary>How often a node was started again because it had been declared dead.</summary>
    public int Restarts => Volatile.Read(ref _restarts);

    /// <param name="network">Where the hub nodes are to be; null for this machine's loopback.</param>
    /// <param name="under">A command to start each node under; null for none.</param>
    /// <param name="prepare">What is done before the nodes are started; null for nothing.</param>
    public static async Task<ProcessCluster> StartAsync(
        CancellationToken stop, int hubs = 3, string[]? regions = null, MemberNetwork? network = null, Func<string, IEnumerable<string>>? under = null,
        Func<LocalCluster, Task>? prepare = null, int replicasPerRegion = 1)
    {
        var cluster = new ProcessCluster(hubs, regions ?? ["eu", "us"], replicasPerRegion, network, under);
        await (prepare?.Invoke(cluster.Nodes) ?? Task.CompletedTask);
        try
        {
            foreach (var node in cluster.Nodes.Layout.Nodes)
            {
                cluster.Start(node.Node);
            }

            cluster._supervisor = EveryTickAsync(cluster.StartAllDeclaredDead, cluster._end.Token);
            await cluster.ReadyAsync(stop);
            return cluster;
        }
        catch
        {
            // Nobody else has it yet.
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>Waits until all nodes are ready. One that was declared dead meanwhile is started again and waited for.</summary>
    public Task ReadyAsync(CancellationToken stop) => Nodes.ReadyAsync(
        Nodes.Layout.Nodes.Select(node => node.Node), ReadyTimeout, stop, node => StartDeclaredDead(node) || Nodes.IsRunning(node));

    /// <summary>Starts a node that does not run, in its place in the network, under what all are started under.</summary>
    public void Start(string node) => Nodes.Start(node, Under(node));

    private string[] Under(string node) => [.. _network?.Under(IndexOf(node)) ?? [], .. _under?.Invoke(node) ?? []];

    /// <summary>The place of a node among all.</summary>
    public int IndexOf(string node) => Nodes.Layout.Nodes.Select(other => other.Node).ToList().IndexOf(node);

    /// <summary>A client of its own session, over one node or, by default, over any hub node.</summary>
    public QuicksilverClient Connect(TimeSpan deadline, params string[] nodes)
    {
        var options = new QuicksilverClientOptions { Deadline = deadline };
        foreach (var node in nodes.Length > 0 ? nodes : Nodes.Hubs.ToArray())
        {
            options.Gateways.Add(Nodes[node].Gateway);
        }

        return new(options, TimeProvider.System, NullLoggerFactory.Instance);
    }

    /// <summary>Starts <c>qs</c> as a process against a node.</summary>
    public ChildProcess StartQs(string node, params string[] args) =>
        ChildProcess.Start("Quicksilver.Cli", "qs", [.. args, "--gateway", Nodes[node].Gateway]);

    /// <summary>Starts a node again whenever its process has ended, as a supervisor does in production.</summary>
    public Task SuperviseAsync(string node, CancellationToken end) => EveryTickAsync(() => Nodes.StartAgain(node, Under(node)), end);

    private static Task EveryTickAsync(Action look, CancellationToken end) => Task.Run(
        async () =>
        {
            using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
            try
            {
                while (await timer.WaitForNextTickAsync(end))
                {
                    look();
                }
            }
            catch (OperationCanceledException) when (end.IsCancellationRequested)
            {
                // The test is over.
            }
        },
        CancellationToken.None);

    private void StartAllDeclaredDead()
    {
        foreach (var node in Nodes.Layout.Nodes)
        {
            StartDeclaredDead(node.Node);
        }
    }

    private bool StartDeclaredDead(string node)
    {
        if (!Nodes.StartAgain(node, Under(node), log => log.Contains(DeclaredDead, StringComparison.Ordinal)))
        {
            return false;
        }

        Interlocked.Increment(ref _restarts);
        _output?.WriteLine($"{node} was declared dead by its silos, ended itself, and was started again.");
        return true;
    }

    /// <summary>As <see cref="SuperviseAsync"/>, until it is disposed.</summary>
    public IAsyncDisposable Supervised(string node) => new Supervisor(this, node);

    private sealed class Supervisor : IAsyncDisposable
    {
        private readonly CancellationTokenSource _end = new();
        private readonly Task _loop;

        public Supervisor(ProcessCluster cluster, string node) => _loop = cluster.SuperviseAsync(node, _end.Token);

        public async ValueTask DisposeAsync()
        {
            await _end.CancelAsync();
            await _loop;
            _end.Dispose();
        }
    }

    public ClusterInspector Inspector => new([.. Nodes.Layout.Nodes.Select(node => node.Gateway)], TimeProvider.System, NullLoggerFactory.Instance);

    /// <summary>What a node says of itself, asked at its own gateway; null where it does not answer at this moment, which is for polls.</summary>
    public async Task<Contracts.NodeStatus?> FindStatusAsync(string node, CancellationToken stop)
    {
        var inspector = new ClusterInspector([Nodes[node].Gateway], TimeProvider.System, NullLoggerFactory.Instance);
        try
        {
            return (await inspector.StatusAsync(stop)).Nodes.FirstOrDefault(status => status.Node.Value == node);
        }
        catch (QuicksilverException)
        {
            return null;
        }
    }

    /// <summary>What a node says of itself; waits until it does.</summary>
    public async Task<Contracts.NodeStatus> StatusAsync(string node, CancellationToken stop)
    {
        Contracts.NodeStatus? status = null;
        await Eventually.TrueAsync(
            async () => (status = await FindStatusAsync(node, stop)) is not null, $"what {node} says of itself", stop, TimeSpan.FromSeconds(60));
        return status!;
    }

    /// <summary>
    /// Waits until hub nodes follow a leader, or lead. A change of the members is refused while one that is needed for a majority does not
    /// say so within a second.
    /// </summary>
    public Task FollowingAsync(IReadOnlyCollection<string> hubs, CancellationToken stop)
    {
        var inspector = new ClusterInspector([.. hubs.Select(hub => Nodes[hub].Gateway)], TimeProvider.System, NullLoggerFactory.Instance);
        return Eventually.TrueAsync(
            async () =>
            {
                try
                {
                    var nodes = (await inspector.StatusAsync(stop)).Nodes;
                    return hubs.All(hub => nodes.Any(
                        node => node.Node.Value == hub && node.RaftRole is Contracts.RaftRole.Leader or Contracts.RaftRole.Follower));
                }
                catch (QuicksilverException)
                {
                    return false;
                }
            },
            $"{string.Join(" and ", hubs)} leading or following", stop, TimeSpan.FromSeconds(60));
    }

    /// <summary>
    /// Runs <c>qs hub</c> until it is done, or refused for another reason than that somebody was slow. Returns its exit code and what it said.
    /// </summary>
    /// <param name="gateway">The hub node that is asked.</param>
    /// <param name="following">Who must follow a leader, or lead, before it is asked.</param>
    public async Task<(int Code, string Said)> HubAsync(string gateway, IReadOnlyCollection<string> following, CancellationToken stop, params string[] args)
    {
        // A member that does not describe itself within a second counts as one that does not answer, and a transfer gives up after five elections
        // that others won. Refused means that nothing was begun.
        string[] slow = ["does not answer", "cannot take over: no answer", "won the election each time"];
        for (var tries = 1; ; tries++)
        {
            await FollowingAsync(following, stop);
            await using var qs = StartQs(gateway, ["hub", .. args]);

            // What changes is asked for during 20 s, and --wait is at most a minute.
            var code = await qs.WaitAsync(stop, TimeSpan.FromSeconds(120));
            var said = $"{qs.Output} {qs.Errors}";
            if (code != 1 || tries == 10 || !slow.Any(text => said.Contains(text, StringComparison.Ordinal)))
            {
                return (code, said);
            }

            _output?.WriteLine($"qs hub {string.Join(' ', args)}: {said.Trim()}");
        }
    }

    /// <summary>The hub node that leads; waits for one.</summary>
    public async Task<string> LeaderAsync(CancellationToken stop)
    {
        string? leader = null;
        await Eventually.TrueAsync(
            async () =>
            {
                try
                {
                    leader = (await Inspector.StatusAsync(stop)).Nodes.FirstOrDefault(node => node.RaftRole == Contracts.RaftRole.Leader)?.Node.Value;
                }
                catch (QuicksilverException)
                {
                    // Nobody answers at this moment.
                }

                return leader is not null;
            },
            "a leader", stop, TimeSpan.FromSeconds(60));
        return leader!;
    }

    /// <summary>
    /// Waits until all nodes are at one position and could be compared there, and returns its revision. A node that cannot be asked
    /// is waited for (one that its cluster declared dead during a pause needs seconds to find that out and start again); one that
    /// differs is a failure at once.
    /// </summary>
    public async Task<Revision> EqualAsync(CancellationToken stop)
    {
        var count = Nodes.Layout.Nodes.Count;
        var last = "";
        Verification? verification = null;
        try
        {
            await Eventually.TrueAsync(
                async () =>
                {
                    var inspection = await Inspector.StatusAsync(stop);
                    last = $"{string.Join("; ", inspection.Nodes.Select(node => $"{node.Node} {node.Position.Revision} {node.RaftRole} {node.State}"))} {string.Join("; ", inspection.Unreachable)}";
                    if (inspection.Nodes.Count != count || inspection.Nodes.Select(node => node.Position).Distinct().Count() != 1)
                    {
                        return false;
                    }

                    verification = await Inspector.VerifyAsync(stop);
                    last = $"{string.Join("; ", verification.Nodes)} {string.Join("; ", verification.Unreachable)}";
                    return verification.Different.Count > 0 || (verification.IsEqual && verification.Nodes.Count == count);
                },
                $"{count} nodes at one position", stop, TimeSpan.FromSeconds(60));
        }
        catch (TimeoutException e)
        {
            var logs = Nodes.Layout.Nodes.Select(node => $"--- {node.Node}{(Nodes.IsRunning(node.Node) ? "" : " (not running)")}\n{Nodes.LogEnd(node.Node, 6)}");
            throw new TimeoutException($"{e.Message} Last seen: {last}\n{string.Join('\n', logs)}", e);
        }

        Assert.True(verification!.IsEqual, last);
        return verification.At;
    }

    /// <summary>Stops the hub nodes and looks at their logs: dense, alike, every operation once, and all that was acknowledged. Returns what is wrong.</summary>
    public async Task<List<string>> WrongLogsAsync(IEnumerable<AcknowledgedWrite> acknowledged, CancellationToken stop)
    {
        var logs = new Dictionary<string, IReadOnlyList<LoggedWrite>>();
        foreach (var hub in Nodes.Hubs)
        {
            await Nodes.StopAsync(hub, stop);
            using var data = DataDirectory.Take(Nodes.DataOf(hub));
            using var store = NodeStore.Open(data, new() { Node = NodeId.Parse(hub) });
            using var view = store.AcquireView();
            logs.Add(hub, LogChecks.Read(view));
        }

        var (first, log) = logs.First();
        var wrong = new List<string>();
        foreach (var (node, other) in logs)
        {
            wrong.AddRange(LogChecks.Dense(node, other));
            wrong.AddRange(LogChecks.Agree(first, log, node, other));
        }

        wrong.AddRange(LogChecks.Once(log));
        wrong.AddRange(LogChecks.Durable(log, acknowledged));
        return wrong;
    }

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        try
        {
            await _supervisor;
        }
        finally
        {
            await Task.WhenAll(Nodes.Layout.Nodes.Select(node => Nodes.KillAsync(node.Node, CancellationToken.None)));
            _end.Dispose();
            _directory.Dispose();
        }
    }
}
