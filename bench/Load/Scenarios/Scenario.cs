using HdrHistogram;
using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Client;
using Quicksilver.Model;

namespace Quicksilver.Load;

/// <summary>A scenario against a running cluster: what it needs beforehand, and its operation.</summary>
internal sealed class Scenario : IAsyncDisposable
{
    private const int RowsPerTransaction = 500;

    private readonly LoadOptions _options;
    private readonly Keys _keys;
    private readonly TimeProvider _time;
    private readonly List<QuicksilverClient> _clients;
    private readonly List<(string Name, QuicksilverClient Client)> _observers;

    public Scenario(LoadOptions options, TimeProvider time)
    {
        _options = options;
        _keys = new(options);
        _time = time;
        _clients = [.. Enumerable.Range(0, options.Clients).Select(_ => Connect(options.Gateways))];
        _observers = [.. options.Observers.Select(gateway => (gateway, Connect([gateway])))];
    }

    private QuicksilverClient Connect(IReadOnlyList<string> gateways)
    {
        var options = new QuicksilverClientOptions { Deadline = TimeSpan.FromSeconds(20), MergeCommits = _options.Merges, MergeReads = _options.Merges };
        foreach (var gateway in gateways)
        {
            options.Gateways.Add(gateway);
        }

        return new(options, _time, NullLoggerFactory.Instance);
    }

    private IKeyspace Keyspace(Random random) => _clients[_clients.Count == 1 ? 0 : random.Next(_clients.Count)].Keyspace(_options.Keyspace);

    /// <summary>Makes the keyspace, and fills it where the scenario reads and it is not full yet.</summary>
    public async Task PrepareAsync(Action<string> say, CancellationToken stop)
    {
        await _clients[0].Catalog.CreateAsync(_options.Keyspace, cancellation: stop).ConfigureAwait(false);
        var keyspace = _clients[0].Keyspace(_options.Keyspace);
        Key filled = $"filled with {_options.Keys} keys of {_options.KeyBytes} and {_options.ValueBytes} bytes";
        if (_options.Scenario is not (ScenarioKind.Put or ScenarioKind.Propagation) && await keyspace.GetAsync(filled, cancellation: stop).ConfigureAwait(false) is null)
        {
            say($"Filling '{_options.Keyspace}' with {_options.Keys} keys ...");
            await FillAsync(keyspace, stop).ConfigureAwait(false);
            await keyspace.PutAsync(filled, "", cancellation: stop).ConfigureAwait(false);
        }

        // All clients see what the first has seen.
        foreach (var client in _clients.Skip(1))
        {
            client.Session = _clients[0].Session;
        }
    }

    private async Task FillAsync(IKeyspace keyspace, CancellationToken stop)
    {
        var random = new Random(_options.Seed);
        var starts = Enumerable.Range(0, (_options.Keys + RowsPerTransaction - 1) / RowsPerTransaction).Select(i => i * RowsPerTransaction);
        await Parallel.ForEachAsync(starts, new ParallelOptions { MaxDegreeOfParallelism = 8, CancellationToken = stop }, async (first, cancellation) =>
        {
            Mutation[] rows;
            lock (random)
            {
                rows = [.. Enumerable.Range(first, Math.Min(RowsPerTransaction, _options.Keys - first)).Select(i => Mutation.Put(_keys[i], _keys.Value(random)))];
            }

            await keyspace.CommitAsync([], rows, cancellation: cancellation).ConfigureAwait(false);
        }).ConfigureAwait(false);
    }

    public Operation Operation => _options.Scenario switch
    {
        ScenarioKind.Put => PutAsync,
        ScenarioKind.Get => GetAsync,
        ScenarioKind.MultiGet => MultiGetAsync,
        ScenarioKind.Mixed => (random, latencies) => random.NextDouble() < _options.PutShare ? PutAsync(random, latencies) : GetAsync(random, latencies),
        _ => PropagateAsync,
    };

    private async ValueTask<string?> PutAsync(Random random, Dictionary<string, LongHistogram> latencies)
    {
        var result = await Keyspace(random).PutAsync(_keys.Next(random), _keys.Value(random)).ConfigureAwait(false);
        return result.Status == CommitStatus.Committed ? "put" : throw new InvalidOperationException($"A put ended as {result.Status}.");
    }

    private async ValueTask<string?> GetAsync(Random random, Dictionary<string, LongHistogram> latencies)
    {
        var entry = await Keyspace(random).GetAsync(_keys.Next(random)).ConfigureAwait(false);
        return entry?.Value.Length == _options.ValueBytes ? "get" : throw new InvalidOperationException($"A get ended with {entry?.Value.Length.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "no"} bytes.");
    }

    private async ValueTask<string?> MultiGetAsync(Random random, Dictionary<string, LongHistogram> latencies)
    {
        var keys = new Key[_options.Batch];
        for (var i = 0; i < keys.Length; i++)
        {
            keys[i] = _keys.Next(random);
        }

        var entries = await Keyspace(random).GetManyAsync(keys).ConfigureAwait(false);
        return entries.All(entry => entry?.Value.Length == _options.ValueBytes) ? "multi-get" : throw new InvalidOperationException("A multi-get lacks rows.");
    }

    /// <summary>
    /// One put, and for each observer the time from sending it until a read there shows it. The reads are on their way before the put
    /// is: they ask for the next revision, so this must be the only writer.
    /// </summary>
    private async ValueTask<string?> PropagateAsync(Random random, Dictionary<string, LongHistogram> latencies)
    {
        var client = _clients[0];
        var key = _keys.Next(random);
        if (client.Session is not { } session)
        {
            await client.Keyspace(_options.Keyspace).PutAsync(key, _keys.Value(random)).ConfigureAwait(false);
            session = client.Session!.Value;
        }

        var next = session.Position with { Revision = session.Position.Revision.Next };
        var seen = _observers.Select(observer => Task.Run(async () =>
        {
            await observer.Client.Keyspace(_options.Keyspace).GetAsync(key, ReadOptions.AtLeast(next)).ConfigureAwait(false);
            return _time.GetTimestamp();
        })).ToList();

        // The observers' reads are waiting at their nodes by then; what this costs is in no figure.
        await Task.Delay(TimeSpan.FromMilliseconds(5), _time).ConfigureAwait(false);
        var sent = _time.GetTimestamp();
        var put = await client.Keyspace(_options.Keyspace).PutAsync(key, _keys.Value(random)).ConfigureAwait(false);
        Recorder.Record(latencies, "acknowledged", _time.GetElapsedTime(sent));
        if (put.Revision != next.Revision)
        {
            throw new InvalidOperationException($"Somebody else writes: revision {next.Revision} was to come, it is {put.Revision}.");
        }

        for (var i = 0; i < seen.Count; i++)
        {
            Recorder.Record(latencies, $"visible at {_observers[i].Name}", _time.GetElapsedTime(sent, await seen[i].ConfigureAwait(false)));
        }

        return null;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var client in _clients.Concat(_observers.Select(observer => observer.Client)))
        {
            await client.DisposeAsync().ConfigureAwait(false);
        }
    }
}
