using System.Buffers;
using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Hosting;

/// <summary>
/// The client of an application that has a replica in its own process: reads are answered from the replica's View, without a network. Sessions,
/// consistency, limits and errors are those of <see cref="IQuicksilverClient"/> at a region; writes, linearizable reads, and what the replica waits
/// for in vain, go to the hub over its link. Thread-safe.
/// </summary>
public interface IQuicksilverReplica : IQuicksilverClient
{
    /// <inheritdoc cref="IQuicksilverClient.Keyspace"/>
    new ILocalKeyspace Keyspace(string name);

    /// <summary>What the replica is doing and how far it is; null before its start and after it was disposed.</summary>
    NodeStatus? Status { get; }

    /// <summary>
    /// Why the application should get no traffic, or null: the replica has not started, has no data, lags, is damaged, or contradicts its sources.
    /// Never that the hub cannot be reached: the replica serves what it has.
    /// </summary>
    string? NotReady { get; }
}

/// <summary>A keyspace that is read in this process. Thread-safe.</summary>
public interface ILocalKeyspace : IKeyspace
{
    /// <summary>
    /// Writes the value of a key to <paramref name="value"/>, without an allocation and without waiting for anybody; the disk is read where the value
    /// is not in memory. False: the keyspace is there and the key is not; nothing was written then. Metadata and revision of the key come with
    /// <see cref="IKeyspace.GetAsync"/>.
    /// It is an eventual read: the value is that of the newest revision that the replica has at this moment, the application's own writes may not have
    /// come back from the hub yet, and the session learns nothing from it. Two calls one after the other never go back in time. For a read of the
    /// session, which waits where it must and else is answered as fast, use <see cref="IKeyspace.GetAsync"/>.
    /// Any number of threads may call together, each with a writer of its own, also while the replica applies, takes a copy or is disposed.
    /// </summary>
    /// <param name="key">1 to 1,024 bytes (<see cref="Limits.MaxKeyBytes"/>); not kept.</param>
    /// <param name="value">Gets the bytes in one piece after those that it has; allocates as it does.</param>
    /// <exception cref="ArgumentException">The key is empty or too long, or <paramref name="value"/> is null.</exception>
    /// <exception cref="QuicksilverException">
    /// KeyspaceNotFound: the replica's View has no such keyspace; KeyspaceNotHeld: it holds others only; Damaged: the row cannot be read from the disk;
    /// Unavailable: the replica was not started, has no data yet, or contradicts its sources. Nothing was written to <paramref name="value"/>.
    /// </exception>
    /// <exception cref="ObjectDisposedException">The replica was disposed.</exception>
    bool TryGet(ReadOnlySpan<byte> key, IBufferWriter<byte> value);
}
