namespace Quicksilver.Peers.Propagation;

/// <summary>Servers of one kind with a copy that follows them, and somebody who waits at the copy.</summary>
internal interface IPropagator : IAsyncDisposable
{
    /// <summary>What is waited for and where, for the table.</summary>
    string Way { get; }

    /// <summary>Starts the servers with empty directories, and waits until a put is seen at the copy.</summary>
    Task StartAsync(string directory, CancellationToken stop);

    /// <summary>
    /// Puts a key of its own; returns the time from before the put was sent to its acknowledgement, and to its being seen at the copy. One at a
    /// time.
    /// </summary>
    Task<(TimeSpan Acknowledged, TimeSpan Visible)> PutAsync(string key, byte[] value, CancellationToken stop);
}
