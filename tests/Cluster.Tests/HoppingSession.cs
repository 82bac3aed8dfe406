using Quicksilver.Client;
using Quicksilver.Model;
using Quicksilver.Testing.Checkers;

namespace Quicksilver.Cluster.Tests;

/// <summary>
/// One session that reads and writes keys of a keyspace, a few operations at one place and then at another, as a user does whose requests are
/// answered here and there. All that goes with it is its token, as text. Each place has a client of its own.
/// </summary>
internal sealed class HoppingSession(int number, IReadOnlyDictionary<string, QuicksilverClient> clients, string keyspace, int keys)
{
    /// <summary>Most operations before it goes to another place.</summary>
    public const int MaxStay = 50;

    /// <summary>How long an honest refusal is followed by another try: longer than any region needs to be back and to catch up.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    private readonly Random _random = new(number);
    private readonly string[] _places = [.. clients.Keys];
    private readonly List<SessionStep> _steps = [];
    private string _place = clients.Keys.First();
    private int _values;

    /// <summary>Reads that were refused, and made again: the node did not have what the session had seen, and the hub could not be asked.</summary>
    public int Refused { get; private set; }

    public int Hops { get; private set; }

    /// <summary>Its steps since the last call.</summary>
    public IReadOnlyList<SessionStep> TakeSteps()
    {
        SessionStep[] steps = [.. _steps];
        _steps.Clear();
        return steps;
    }

    /// <summary>Makes so many reads, with some writes in between.</summary>
    public async Task RunAsync(int reads, Action onRead, CancellationToken stop)
    {
        while (reads > 0)
        {
            for (var stay = _random.Next(1, MaxStay + 1); stay > 0 && reads > 0; stay--)
            {
                var key = $"k{_random.Next(keys)}";
                switch (_random.Next(100))
                {
                    case < 3:
                        await PutAsync(key, stop);
                        break;
                    case 3:
                        await DeleteAsync(key, stop);
                        break;
                    default:
                        await ReadAsync(key, stop);
                        onRead();
                        reads--;
                        break;
                }
            }

            Hop();
        }
    }

    private void Hop()
    {
        var carried = clients[_place].Session!.Value.ToString();
        var next = _places[_random.Next(_places.Length - 1)];
        _place = next == _place ? _places[^1] : next;
        Assert.True(SessionToken.TryParse(carried, out var token));
        clients[_place].Session = token;
        Hops++;
    }

    private async Task ReadAsync(string key, CancellationToken stop)
    {
        var start = TimeProvider.System.GetTimestamp();
        while (true)
        {
            try
            {
                var entry = await clients[_place].Keyspace(keyspace).GetAsync(key, cancellation: stop);
                Note(SessionStepKind.Read, key, entry?.Text, entry?.Revision ?? Revision.None);
                return;
            }
            catch (QuicksilverException e) when (e.IsTransient && TimeProvider.System.GetElapsedTime(start) < Patience)
            {
                Refused++;
            }
        }
    }

    private async Task PutAsync(string key, CancellationToken stop)
    {
        var value = $"{number}/{++_values}";
        var put = await clients[_place].Keyspace(keyspace).PutAsync(key, value, cancellation: stop);
        Assert.Equal(CommitStatus.Committed, put.Status);
        Note(SessionStepKind.Put, key, value, put.Revision);
    }

    private async Task DeleteAsync(string key, CancellationToken stop)
    {
        var deleted = await clients[_place].Keyspace(keyspace).DeleteAsync(key, cancellation: stop);
        Assert.Equal(CommitStatus.Committed, deleted.Status);
        Note(SessionStepKind.Delete, key, null, deleted.Revision);
    }

    private void Note(SessionStepKind kind, string key, string? value, Revision revision) => _steps.Add(new(number, _place, kind, key, value, revision));
}
