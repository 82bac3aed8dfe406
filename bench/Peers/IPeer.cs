using Quicksilver.Load;

namespace Quicksilver.Peers;

/// <summary>Servers of one kind, as processes of their own, and how this process asks them.</summary>
internal interface IPeer : IAsyncDisposable
{
    /// <summary>Ways of asking, for example through the leader, merged.</summary>
    IReadOnlyList<string> Ways { get; }

    /// <summary>Starts three servers with empty directories, and waits until they take writes.</summary>
    Task StartAsync(string directory, CancellationToken stop);

    /// <summary>One put of a key.</summary>
    Operation Put(string way);

    /// <summary>One transaction of 100 puts.</summary>
    Operation Transaction(string way);

    /// <summary>Resident memory of the largest server, bytes.</summary>
    long LargestResidentBytes();
}
