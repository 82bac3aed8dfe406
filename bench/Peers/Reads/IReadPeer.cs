using Quicksilver.Load;

namespace Quicksilver.Peers.Reads;

/// <summary>Servers of one kind that hold all keys, and how this process reads them: over the network, through one client.</summary>
internal interface IReadPeer : IAsyncDisposable
{
    /// <summary>What is asked and where, for the table.</summary>
    string Way { get; }

    /// <summary>Ids of the processes of all servers, also of those that are not asked.</summary>
    IReadOnlyList<int> Processes { get; }

    /// <summary>Starts the servers with empty directories, puts all keys, and waits until they are seen where reads are answered.</summary>
    Task StartAsync(string directory, CancellationToken stop);

    /// <summary>One read of a key. An operation throws where the value has not the length that was put, or is missing.</summary>
    /// <param name="choose">Chooses a key by its number.</param>
    Operation Get(Func<Random, int> choose);

    /// <summary>One call that reads <see cref="ReadKeys.PerCall"/> keys; null where there is none.</summary>
    Operation? GetMany(Func<Random, int> choose);

    /// <summary>One put of a key that is there already, through a client of its own, not that of the reads; null where reads beside writes are not measured.</summary>
    Operation? Put(Func<Random, int> choose);
}
