using System.Collections.Concurrent;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Hosting;

/// <summary>
/// A replica in this process, with the SDK over it. Owned by a host: <see cref="StartAsync"/>, <see cref="StopAsync"/>, and
/// <see cref="DisposeAsync"/>, once each and in this order; reads and writes wait for the start up to their deadline, and go on until it is disposed.
/// </summary>
public sealed partial class QuicksilverReplica : IQuicksilverReplica, IHostedService, IAsyncDisposable
{
    /// <summary>How often a start looks whether there is data.</summary>
    private static readonly TimeSpan LookPeriod = TimeSpan.FromMilliseconds(20);

    private readonly NodeSettings _settings;
    private readonly TimeSpan _startTimeout;
    private readonly TimeProvider _time;
    private readonly ILoggerFactory _loggers;
    private readonly ILogger _logger;
    private readonly LocalLink _link;
    private readonly QuicksilverClient _client;
    private readonly ConcurrentDictionary<KeyspaceName, LocalKeyspace> _keyspaces = new();
    private ReplicaEngines? _engines;
    private int _isStarted;
    private int _isDisposed;

    /// <summary>Checks the options; does nothing before it is started. Throws <see cref="ConfigurationException"/>.</summary>
    public QuicksilverReplica(QuicksilverReplicaOptions options, TimeProvider time, ILoggerFactory loggers)
    {
        ArgumentNullException.ThrowIfNull(options);
        _settings = options.ToSettings();
        _startTimeout = options.StartTimeout;
        _time = time;
        _loggers = loggers;
        _logger = loggers.CreateLogger<QuicksilverReplica>();
        _link = new(time);

        // The link to the upstream merges commits; two mergers one behind the other would only wait for each other. Reads make no calls.
        _client = new(_link, new() { Deadline = options.Deadline, MergeCommits = false, MergeReads = false }, time);
    }

    /// <inheritdoc/>
    public ICatalog Catalog => _client.Catalog;

    /// <inheritdoc/>
    public SessionToken? Session
    {
        get => _client.Session;
        set => _client.Session = value;
    }

    /// <inheritdoc/>
    public NodeStatus? Status => Engines?.Monitor.Status;

    /// <inheritdoc/>
    public string? NotReady => Engines is { } engines ? engines.Monitor.NotReady : "the replica does not run";

    /// <summary>The engines, from the start until the replica is disposed.</summary>
    internal ReplicaEngines? Engines => Volatile.Read(ref _engines);

    /// <inheritdoc/>
    public ILocalKeyspace Keyspace(string name) => _keyspaces.GetOrAdd(
        KeyspaceName.Parse(name), static (name, replica) => new(name, replica, replica._client.Keyspace(name.Value), replica._client.SessionState), this);

    IKeyspace IQuicksilverClient.Keyspace(string name) => Keyspace(name);

    /// <summary>
    /// The newest View, for an eventual read; the caller disposes it. Throws <see cref="QuicksilverException"/> (Unavailable), and
    /// <see cref="ObjectDisposedException"/> once the replica is disposed.
    /// </summary>
    internal View AcquireView()
    {
        var engines = Engines ?? throw NotRunning();
        if (engines.Withheld is { } why)
        {
            throw new QuicksilverException(QuicksilverErrorCode.Unavailable, $"Nothing can be read: {why}.");
        }

        try
        {
            return engines.Store.AcquireView();
        }
        catch (ObjectDisposedException)
        {
            throw NotRunning();
        }
    }

    private Exception NotRunning() => Volatile.Read(ref _isDisposed) != 0 ? new ObjectDisposedException(nameof(QuicksilverReplica)) : NotStarted();

    internal static QuicksilverException NotStarted(Exception? inner = null) => new(
        QuicksilverErrorCode.Unavailable, "The replica in this process does not run yet: its host starts it (IHostedService).", WriteOutcome.NotCommitted, inner);

    /// <summary>
    /// Opens the data directory and begins to pull; a replica without data waits for it, at most <see cref="QuicksilverReplicaOptions.StartTimeout"/>.
    /// Does not wait for the hub otherwise. Throws <see cref="StorageException"/> where the directory cannot be used; nothing is left running or locked
    /// then.
    /// </summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _isDisposed) != 0, this);
        if (Interlocked.Exchange(ref _isStarted, 1) != 0)
        {
            throw new InvalidOperationException("The replica was started before. One that was stopped is made anew.");
        }

        // Not on the caller's thread, nor in its context: opening reads the disk, and what is started goes on for long.
        var engines = await Task.Run(() => ReplicaEngines.StartAsync(_settings, _time, _loggers), CancellationToken.None).ConfigureAwait(false);
        var isEmpty = engines.Store.Progress.Cluster.IsNone;
        Volatile.Write(ref _engines, engines);
        if (Volatile.Read(ref _isDisposed) != 0 && Interlocked.Exchange(ref _engines, null) is { } unwanted)
        {
            // Disposed while it started, and nobody else has them.
            await unwanted.DisposeAsync().ConfigureAwait(false);
        }

        ObjectDisposedException.ThrowIf(Volatile.Read(ref _isDisposed) != 0, this);
        _link.Open(new FreeCalls(engines.Calls), _settings);
        LogStarted(_settings.NodeId.Value, _settings.DataDirectory, engines.Store.Progress.Position.Revision.Value);
        if (isEmpty)
        {
            await WaitForDataAsync(engines, cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task WaitForDataAsync(ReplicaEngines engines, CancellationToken cancellation)
    {
        for (var start = _time.GetTimestamp(); engines.Monitor.NotReady is { } reason; await Task.Delay(LookPeriod, _time, cancellation).ConfigureAwait(false))
        {
            if (_time.GetElapsedTime(start) >= _startTimeout)
            {
                LogNoData(_startTimeout.TotalSeconds, reason, engines.Monitor.State);
                return;
            }
        }
    }

    /// <summary>Stops pulling, and ends watches' waits for a change. Reads and writes go on until the replica is disposed.</summary>
    public Task StopAsync(CancellationToken cancellationToken) => Engines is { } engines ? engines.StopPullingAsync() : Task.CompletedTask;

    /// <summary>Ends all calls and closes the store. Safe to call more than once.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) != 0)
        {
            return;
        }

        // First nobody new gets in, then those inside are let go.
        var engines = Interlocked.Exchange(ref _engines, null);
        await _client.DisposeAsync().ConfigureAwait(false);
        if (engines is not null)
        {
            await engines.DisposeAsync().ConfigureAwait(false);
        }
    }

    [LoggerMessage(1, LogLevel.Information, "Replica {Node} in this process has its data in {Directory} (revision {Revision}).")]
    private partial void LogStarted(string node, string directory, long revision);

    [LoggerMessage(2, LogLevel.Warning, "The application starts before its replica has data, after {Seconds} s (QuicksilverReplicaOptions.StartTimeout): {Reason}. State: {State}")]
    private partial void LogNoData(double seconds, string reason, string state);
}
