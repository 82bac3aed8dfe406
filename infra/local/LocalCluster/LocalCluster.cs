using System.Net.Sockets;
using System.Text.Json;

namespace Quicksilver.Local;

/// <summary>
/// A cluster of separate processes on this machine, one per node, as in production: hub nodes that share a membership file, and
/// regions that pull from them. The processes go on when this object is gone; <see cref="Open"/> finds them again.
/// </summary>
public sealed class LocalCluster
{
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(25);

    private readonly Lock _gate = new();
    private readonly TimeProvider _time;

    /// <summary>Processes that were told to end and may not have ended yet. What is not among them ends by itself.</summary>
    private readonly HashSet<int> _ending = [];

    /// <summary>How long the log of a node was when it was started from here.</summary>
    private readonly Dictionary<string, long> _logged = [];

    private LocalCluster(string data, ClusterLayout layout, TimeProvider time)
    {
        Data = Path.GetFullPath(data);
        Layout = layout;
        _time = time;
    }

    public string Data { get; }

    public ClusterLayout Layout { get; private set; }

    public IEnumerable<string> Hubs => Layout.Nodes.Where(node => node.Role == "hub").Select(node => node.Node);

    public ClusterNode this[string node] => Layout.Nodes.FirstOrDefault(other => other.Node == node)
        ?? throw new ArgumentException($"There is no node '{node}'; there are {string.Join(", ", Layout.Nodes.Select(other => other.Node))}.");

    /// <summary>Makes the directories and configurations of a cluster; starts nothing.</summary>
    public static LocalCluster Create(ClusterOptions options, TimeProvider time)
    {
        var layout = ClusterLayout.Plan(options);
        Directory.CreateDirectory(options.Data);
        var cluster = new LocalCluster(options.Data, layout, time);
        foreach (var node in layout.Nodes)
        {
            cluster.WriteConfiguration(node);
        }

        layout.Save(cluster.Data);
        return cluster;
    }

    /// <summary>A cluster that was made before, running or not.</summary>
    public static LocalCluster Open(string data, TimeProvider time) => new(data, ClusterLayout.Load(data), time);

    /// <summary>The directory with a node's data.</summary>
    public string DataOf(string node) => Path.Combine(Data, "data", node);

    public bool IsRunning(string node) => NodeProcess.IsRunning(this[node].Pid);

    private string ConfigurationOf(string node) => Path.Combine(Data, "config", $"{node}.json");

    private void WriteConfiguration(ClusterNode node)
    {
        var settings = new Dictionary<string, object>
        {
            ["Role"] = node.Role,
            ["NodeId"] = node.Node,
            ["Region"] = node.Region,
            ["DataDirectory"] = DataOf(node.Node),
            ["Ports"] = new Dictionary<string, int>
            {
                ["Gateway"] = ClusterLayout.Port(node.Gateway), ["Silo"] = ClusterLayout.SiloPort(node), ["Http"] = ClusterLayout.Port(node.Http),
            },
            ["Membership"] = new Dictionary<string, string> { ["Directory"] = Path.Combine(Data, "membership", node.Region) },
        };
        if (ClusterLayout.Address(node.Gateway) is var address and not ClusterLayout.Loopback)
        {
            settings["Address"] = address;
            settings["AllowInsecure"] = true;
        }

        var hubs = Layout.Nodes.Where(other => other.Role == "hub");
        if (node.Role == "hub")
        {
            settings["Hub"] = new Dictionary<string, object> { ["Members"] = hubs.Select(hub => $"{hub.Node}={hub.Raft}").ToArray() };
        }
        else
        {
            settings["Upstreams"] = Layout.Nodes.Where(other => other.Region == node.Upstream).Select(other => other.Gateway).ToArray();
        }

        Directory.CreateDirectory(Path.GetDirectoryName(ConfigurationOf(node.Node))!);
        File.WriteAllText(ConfigurationOf(node.Node), JsonSerializer.Serialize(new Dictionary<string, object> { ["Quicksilver"] = settings }, Indented));
    }

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>
    /// Puts a hub node of another name, on ports of its own, into the place of one that does not run. Starts nothing, and tells nobody:
    /// the configurations of the others name the old one on.
    /// </summary>
    /// <param name="basePort">First of four free ports.</param>
    public void Replace(string old, string node, int basePort)
    {
        if (IsRunning(old))
        {
            throw new InvalidOperationException($"Node '{old}' is running.");
        }

        lock (_gate)
        {
            Layout = Layout.Replace(old, node, basePort);
            WriteConfiguration(this[node]);
            Layout.Save(Data);
        }
    }

    /// <summary>Starts a node that does not run. Does not wait for it.</summary>
    public void Start(string node) => Start(node, []);

    /// <summary>Starts a node by a command that becomes the program named after it, as <c>env NAME=VALUE</c> does.</summary>
    public void Start(string node, IEnumerable<string> under)
    {
        lock (_gate)
        {
            var planned = this[node];
            if (NodeProcess.IsRunning(planned.Pid))
            {
                throw new InvalidOperationException($"Node '{node}' is running already, as process {planned.Pid}.");
            }

            Launch(planned, under);
        }
    }

    /// <summary>
    /// Starts a node again that does not run, as a supervisor does; false where it was left as it is. Nobody else can start it, or begin to
    /// end it, between the look and the start.
    /// </summary>
    /// <param name="isToRun">
    /// Judges by what the node has logged since it was started, and is asked only about one that ended by itself; what was ended from here is
    /// left then. Null: whatever ended it, it is started.
    /// </param>
    public bool StartAgain(string node, IEnumerable<string> under, Func<string, bool>? isToRun = null)
    {
        lock (_gate)
        {
            // Another may have been put into its place since whoever asks has looked.
            if (Layout.Nodes.FirstOrDefault(other => other.Node == node) is not { } planned
                || NodeProcess.IsRunning(planned.Pid)
                || (isToRun is not null && (planned.Pid == 0 || _ending.Contains(planned.Pid) || !isToRun(LoggedSinceStart(planned)))))
            {
                return false;
            }

            Launch(planned, under);
            return true;
        }
    }

    private void Launch(ClusterNode planned, IEnumerable<string> under)
    {
        string[] command = [.. under, SiloExecutable, "--config", ConfigurationOf(planned.Node)];
        _logged[planned.Node] = File.Exists(planned.Log) ? new FileInfo(planned.Log).Length : 0;
        Record(planned with { Pid = NodeProcess.Start(command[0], command[1..], planned.Log) });
    }

    /// <summary>Ends a node with SIGKILL, as a crash does.</summary>
    public async Task KillAsync(string node, CancellationToken cancellation)
    {
        var process = ToEnd(node);
        NodeProcess.Resume(process);
        NodeProcess.Kill(process);
        await GoneAsync(node, process, StopTimeout, cancellation);
    }

    /// <summary>Ends a node with SIGTERM; with SIGKILL where it does not end in time.</summary>
    public async Task StopAsync(string node, CancellationToken cancellation)
    {
        var process = ToEnd(node);
        NodeProcess.Terminate(process);
        if (!await GoneAsync(node, process, StopTimeout, cancellation))
        {
            await KillAsync(node, cancellation);
        }
    }

    /// <summary>The process of a node, which is told to end now.</summary>
    private int ToEnd(string node)
    {
        lock (_gate)
        {
            var process = this[node].Pid;
            _ending.Add(process);
            return process;
        }
    }

    /// <summary>Stops the world for a node (SIGSTOP) until it is resumed.</summary>
    public void Pause(string node) => NodeProcess.Pause(this[node].Pid);

    public void Resume(string node) => NodeProcess.Resume(this[node].Pid);

    /// <summary>
    /// Waits until nodes are ready. Throws where one ends instead, with the end of its log, and <see cref="TimeoutException"/>.
    /// </summary>
    /// <param name="isStarted">Asked about a node that does not run: true where it was started again, and is waited for. Null: none is.</param>
    public async Task ReadyAsync(IEnumerable<string> nodes, TimeSpan timeout, CancellationToken cancellation, Func<string, bool>? isStarted = null)
    {
        using var http = new HttpClient { Timeout = TimeSpan.FromSeconds(2) };
        var start = _time.GetTimestamp();
        foreach (var node in nodes)
        {
            while (!await IsReadyAsync(http, node, cancellation))
            {
                if (!IsRunning(node) && !(isStarted?.Invoke(node) ?? false))
                {
                    throw new InvalidOperationException($"Node '{node}' ended instead of getting ready. Its log ends with:\n{LogEnd(node)}");
                }

                if (_time.GetElapsedTime(start) > timeout)
                {
                    throw new TimeoutException($"Node '{node}' is not ready after {timeout.TotalSeconds:0} s. Its log ends with:\n{LogEnd(node)}");
                }

                await Task.Delay(TimeSpan.FromMilliseconds(50), _time, cancellation);
            }
        }
    }

    private async Task<bool> IsReadyAsync(HttpClient http, string node, CancellationToken cancellation)
    {
        try
        {
            using var answer = await http.GetAsync(new Uri($"http://{this[node].Http}/healthz/ready"), cancellation);
            return answer.IsSuccessStatusCode;
        }
        catch (Exception e) when (e is HttpRequestException or SocketException or TaskCanceledException && !cancellation.IsCancellationRequested)
        {
            // A node that ends while it is asked shows in different ways.
            return false;
        }
    }

    /// <summary>The last lines of a node's log.</summary>
    public string LogEnd(string node, int lines = 15) =>
        File.Exists(this[node].Log) ? string.Join('\n', File.ReadLines(this[node].Log).TakeLast(lines)) : "(no log)";

    /// <summary>What a node has logged since it was started from here.</summary>
    private string LoggedSinceStart(ClusterNode node)
    {
        if (!File.Exists(node.Log))
        {
            return "";
        }

        using var log = new FileStream(node.Log, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        log.Position = _logged.GetValueOrDefault(node.Node);
        using var reader = new StreamReader(log);
        return reader.ReadToEnd();
    }

    private async Task<bool> GoneAsync(string node, int process, TimeSpan timeout, CancellationToken cancellation)
    {
        var start = _time.GetTimestamp();
        while (NodeProcess.IsRunning(process))
        {
            if (_time.GetElapsedTime(start) > timeout)
            {
                return false;
            }

            await Task.Delay(TimeSpan.FromMilliseconds(10), _time, cancellation);
        }

        lock (_gate)
        {
            // A supervisor may have started the next one already.
            if (this[node] is var known && known.Pid == process)
            {
                Record(known with { Pid = 0 });
            }

            _ending.Remove(process);
        }

        return true;
    }

    private void Record(ClusterNode node)
    {
        lock (_gate)
        {
            Layout = Layout.With(node);
            Layout.Save(Data);
        }
    }

    /// <summary>The silo of the same build as this program.</summary>
    private static string SiloExecutable
    {
        get
        {
            var configuration = new DirectoryInfo(AppContext.BaseDirectory).Name;
            var path = Path.Combine(AppContext.BaseDirectory, "..", "..", "Quicksilver.Silo", configuration, "Quicksilver.Orleans.Silo");
            return File.Exists(path) ? Path.GetFullPath(path) : throw new InvalidOperationException($"The silo is not built: {path} is missing. Run 'dotnet build Quicksilver.Orleans.sln -c {configuration}'.");
        }
    }
}
