using System.Buffers;
using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Hosting;

/// <summary>
/// One keyspace of a replica in this process. What can be answered at once is read from a View here; everything else takes the SDK's own way, which
/// waits, asks the hub and says what is wrong.
/// </summary>
/// <param name="sdk">The keyspace as the SDK has it, over the same replica.</param>
/// <param name="session">That of the SDK.</param>
internal sealed class LocalKeyspace(KeyspaceName name, QuicksilverReplica replica, IKeyspace sdk, Session session) : ILocalKeyspace
{
    // Id of the keyspace as it was found last, or that of the catalog where it was not yet. Ids are never used again, so each View tells whether it
    // is still that.
    private uint _known;

    // Whether the keyspace is among those that the replica holds; by reference, so that asking again costs nothing.
    private Holding? _holding;

    private sealed record Holding(Subscription Subscription, bool IsHeld);

    public KeyspaceName Name => name;

    /// <inheritdoc/>
    public bool TryGet(ReadOnlySpan<byte> key, IBufferWriter<byte> value)
    {
        ArgumentNullException.ThrowIfNull(value);
        if (key.Length is 0 or > Limits.MaxKeyBytes)
        {
            throw new ArgumentException($"The key has {key.Length} bytes; it must have 1 to {Limits.MaxKeyBytes}.", nameof(key));
        }

        using var view = replica.AcquireView();
        try
        {
            using var row = Find(view, key, out var isThere);
            if (!isThere)
            {
                throw Missing(view.Progress.Subscription);
            }

            if (!row.Found)
            {
                return false;
            }

            Write(row.Row.Value, value);
            return true;
        }
        catch (StorageException e)
        {
            throw ReadFailures.ToException(ReadStatus.Damaged, default, e.Message, name.Value);
        }
    }

    private static void Write(ReadOnlySpan<byte> bytes, IBufferWriter<byte> value)
    {
        bytes.CopyTo(value.GetSpan(bytes.Length));
        value.Advance(bytes.Length);
    }

    /// <inheritdoc/>
    public ValueTask<Entry?> GetAsync(Key key, ReadOptions? options = null, CancellationToken cancellation = default)
    {
        options ??= ReadOptions.Session;
        options.ThrowIfUnusable(nameof(options));
        cancellation.ThrowIfCancellationRequested();

        // The spans of a read are those of the long way.
        return !Traces.Source.HasListeners() && TryGetAtOnce(key, options, out var entry) ? new(entry) : sdk.GetAsync(key, options, cancellation);
    }

    /// <summary>A read that has nothing to wait for and nothing to be told but the entry.</summary>
    private bool TryGetAtOnce(Key key, ReadOptions options, out Entry? entry)
    {
        entry = null;
        if (key.Span.IsEmpty || replica.Engines is not { } engines)
        {
            return false;
        }

        try
        {
            using var view = engines.Reads.TryAdmit(session.Require(options));
            if (view is null)
            {
                return false;
            }

            using var row = Find(view, key.Span, out var isThere);
            if (!isThere)
            {
                return false;
            }

            if (row.Found)
            {
                var found = row.Row;
                entry = KeyspaceClient.ToEntry(new(found.Revision, found.ExpiresAt, found.Metadata, found.Value));
            }

            session.Learn(engines.Node.Answer(view.Progress), view.Position);
            return true;
        }
        catch (Exception e) when (e is StorageException or ObjectDisposedException)
        {
            // Damage, or the end of the replica: the long way says which.
            return false;
        }
    }

    /// <summary>The row in a View, and whether the keyspace is in it and held. The caller disposes the row. No managed allocation once the keyspace is known.</summary>
    private PinnedRow Find(View view, ReadOnlySpan<byte> key, out bool isThere)
    {
        isThere = true;
        var known = new KeyspaceId(Volatile.Read(ref _known));
        if (known != KeyspaceId.Catalog)
        {
            if (!view.Progress.Subscription.IsAll)
            {
                // One that is being added may have rows already, so a row proves nothing.
                if (Holds(view.Progress.Subscription) && view.HasKeyspace(known))
                {
                    return view.Get(known, key);
                }
            }
            else
            {
                // A row proves its keyspace; only where there is none, it has to be asked for.
                var row = view.Get(known, key);
                if (row.Found || view.HasKeyspace(known))
                {
                    return row;
                }
            }
        }

        // Not known yet, or gone: another may have the name by now.
        if (view.FindKeyspace(name) is { } found && Holds(view.Progress.Subscription) && view.HasKeyspace(found.Id))
        {
            Volatile.Write(ref _known, found.Id.Value);
            return view.Get(found.Id, key);
        }

        isThere = false;
        return default;
    }

    private bool Holds(Subscription subscription)
    {
        if (subscription.IsAll)
        {
            return true;
        }

        var holding = Volatile.Read(ref _holding);
        if (holding is null || !ReferenceEquals(holding.Subscription, subscription))
        {
            holding = new(subscription, subscription.Includes(name));
            Volatile.Write(ref _holding, holding);
        }

        return holding.IsHeld;
    }

    private QuicksilverException Missing(Subscription held) => Holds(held)
        ? ReadFailures.ToException(ReadStatus.KeyspaceNotFound, default, null, name.Value)
        : ReadFailures.ToException(ReadStatus.KeyspaceNotHeld, default, $"The replica in this process holds {held} (QuicksilverReplicaOptions.Keyspaces).", name.Value);

    /// <inheritdoc/>
    public ValueTask<IReadOnlyList<Entry?>> GetManyAsync(IReadOnlyList<Key> keys, ReadOptions? options = null, CancellationToken cancellation = default) =>
        sdk.GetManyAsync(keys, options, cancellation);

    /// <inheritdoc/>
    public ValueTask<CommitResult> PutAsync(Key key, ReadOnlyMemory<byte> value, WriteOptions? options = null, CancellationToken cancellation = default) =>
        sdk.PutAsync(key, value, options, cancellation);

    /// <inheritdoc/>
    public ValueTask<CommitResult> PutAsync(Key key, string value, WriteOptions? options = null, CancellationToken cancellation = default) =>
        sdk.PutAsync(key, value, options, cancellation);

    /// <inheritdoc/>
    public ValueTask<CommitResult> DeleteAsync(Key key, WriteOptions? options = null, CancellationToken cancellation = default) =>
        sdk.DeleteAsync(key, options, cancellation);

    /// <inheritdoc/>
    public ValueTask<CommitResult> DeletePrefixAsync(Key prefix, WriteOptions? options = null, CancellationToken cancellation = default) =>
        sdk.DeletePrefixAsync(prefix, options, cancellation);

    /// <inheritdoc/>
    public ValueTask<CommitResult> CommitAsync(
        IReadOnlyCollection<Condition> conditions, IReadOnlyCollection<Mutation> mutations, WriteOptions? options = null, CancellationToken cancellation = default) =>
        sdk.CommitAsync(conditions, mutations, options, cancellation);

    /// <inheritdoc/>
    public IAsyncEnumerable<Row> ScanAsync(ScanOptions? options = null, CancellationToken cancellation = default) => sdk.ScanAsync(options, cancellation);

    /// <inheritdoc/>
    public IAsyncEnumerable<RowHead> ScanKeysAsync(ScanOptions? options = null, CancellationToken cancellation = default) => sdk.ScanKeysAsync(options, cancellation);

    /// <inheritdoc/>
    public IAsyncEnumerable<WatchEvent> WatchAsync(WatchOptions? options = null, CancellationToken cancellation = default) => sdk.WatchAsync(options, cancellation);

    /// <inheritdoc/>
    public ValueTask<ScanPage<Row>> ScanPageAsync(ScanOptions options, ReadOnlyMemory<byte> cursor, CancellationToken cancellation = default) =>
        sdk.ScanPageAsync(options, cursor, cancellation);

    /// <inheritdoc/>
    public ValueTask<ScanPage<RowHead>> ScanKeysPageAsync(ScanOptions options, ReadOnlyMemory<byte> cursor, CancellationToken cancellation = default) =>
        sdk.ScanKeysPageAsync(options, cursor, cancellation);
}
