using Quicksilver.Model;
using Quicksilver.Storage.Native;

namespace Quicksilver.Storage;

/// <summary>
/// The one way to change a store: stage records, then commit them with the position they lead to, in one write batch. The hub
/// stages what it decided (<see cref="Append"/>); a replica stages what it received (<see cref="AppendVerified"/>), and both
/// go through the same code from there. For one thread. Reused from batch to batch; staging after a failed commit throws.
/// </summary>
public sealed partial class ApplyBatch
{
    /// <summary>Keyspaces whose state stays in memory between batches. Past it the memory is emptied; it fills again by use.</summary>
    internal const int MaxCachedKeyspaces = 65_536;

    private readonly NodeStore _store;
    private readonly WriteBatchBuilder _batch = new();
    private readonly Dictionary<KeyspaceId, KeyspaceState> _cache = [];
    private readonly Dictionary<KeyspaceId, KeyspaceState?> _touched = [];
    private readonly RowOverlay _overlay = new();

    // With their keyspace: rows below them leave the memory when the batch is committed.
    private readonly List<byte[]> _deletedPrefixes = [];
    private StoreProgress _progress;
    private Revision _revision;
    private ChainHash _chain;
    private LogTime _logTime;
    private View? _base;

    public ApplyBatch(NodeStore store)
    {
        _store = store;
        _progress = store.Progress;
    }

    /// <summary>Revision of the last staged record, or of the View below where none is staged.</summary>
    public Revision Revision => _revision;

    /// <summary>Chain hash at <see cref="Revision"/>.</summary>
    public ChainHash Chain => _chain;

    public ClusterUuid Cluster => _progress.Cluster;

    public HistoryId History => _progress.Position.History;

    public int FeatureLevel => _progress.FeatureLevel;

    public KeyspaceId NextKeyspace => _progress.NextKeyspace;

    /// <summary>Note what expires when. For a hub member, and for a node that becomes one; a replica hears of it by the log.</summary>
    public bool IndexesExpiry { get; init; }

    /// <summary>Bytes staged so far.</summary>
    public int StagedBytes => _batch.Length;

    /// <summary>Keyspaces whose state is in memory now; never more than <see cref="MaxCachedKeyspaces"/>.</summary>
    internal int CachedKeyspaces => _cache.Count;

    /// <summary>The View below the batch. Rows staged since are not in it: read through <see cref="RowRevision"/>.</summary>
    public View Base => _base ?? throw new InvalidOperationException("Begin the batch first.");

    /// <summary>
    /// Remember staged rows, so that later commands of the batch are judged against them; a batch of plain puts does without.
    /// To be set before the first record is staged; off after <see cref="Begin"/>.
    /// </summary>
    public bool TrackRows
    {
        get => _overlay.TrackAll;
        set => _overlay.TrackAll = value;
    }

    /// <summary>Starts an empty batch on the current View.</summary>
    public void Begin()
    {
        _store.ThrowIfFailed();
        Reset();
        _base = _store.AcquireView();
        _progress = _base.Progress;
        _revision = _progress.Position.Revision;
        _chain = _progress.Chain;
        _logTime = _progress.LogTime;
    }

    /// <summary>Gives up what is staged.</summary>
    public void Reset()
    {
        _batch.Clear();
        _touched.Clear();
        _overlay.Clear();
        _deletedPrefixes.Clear();
        _base?.Dispose();
        _base = null;
    }

    /// <summary>Makes an empty store part of a cluster, or of another one. Only before its first record.</summary>
    public void Adopt(ClusterUuid cluster, HistoryId history)
    {
        if (_revision != Revision.None)
        {
            throw new InvalidOperationException($"The store belongs to cluster {_progress.Cluster} already.");
        }

        _chain = StoreProgress.FirstChain(cluster, history);
        _progress = _progress with { Cluster = cluster, Position = new(LogId.Main, history, Revision.None), OldestChain = _chain };

        // What was known of the catalog belonged to no cluster, or to one whose page was refused.
        _cache.Clear();
    }

    /// <summary>Hub: operation ids issued before this may have been forgotten.</summary>
    public LogTime OperationsFloor
    {
        get => _progress.OperationsFloor;
        set => _progress = _progress with { OperationsFloor = value };
    }

    public void SetFeatureLevel(int level) => _progress = _progress with { FeatureLevel = level };

    /// <summary>State of a keyspace as the batch sees it, or null where there is none.</summary>
    public KeyspaceState? FindKeyspace(KeyspaceId id)
    {
        if (_touched.TryGetValue(id, out var touched))
        {
            return touched;
        }

        if (_cache.TryGetValue(id, out var cached))
        {
            return cached;
        }

        if (Base.FindKeyspace(id) is { } state)
        {
            Remember(state);
            return state;
        }

        // Not remembered: until its first record the catalog follows the cluster that the store belongs to.
        return id == KeyspaceId.Catalog
            ? KeyspaceState.EmptyCatalog(StoreProgress.FirstChain(_progress.Cluster, _progress.Position.History))
            : null;
    }

    private void Remember(KeyspaceState state)
    {
        if (_cache.Count >= MaxCachedKeyspaces)
        {
            _cache.Clear();
        }

        _cache[state.Id] = state;
    }

    /// <summary>The keyspace of a name as the batch sees it, or null where there is none.</summary>
    public KeyspaceState? FindKeyspace(KeyspaceName name)
    {
        var key = Key.From(name.Value);
        if (_overlay.TryGet(KeyspaceId.Catalog, key.Span, out var staged))
        {
            return staged.Exists ? FindKeyspace(CatalogRow.Read(staged.Value.Span).Id) : null;
        }

        return Base.FindKeyspace(name) is { } info ? FindKeyspace(info.Id) : null;
    }

    /// <summary>Revision that last changed a key, as the batch sees it; <see cref="Revision.None"/> where the key does not exist.</summary>
    public Revision RowRevision(KeyspaceId keyspace, ReadOnlySpan<byte> key)
    {
        if (_overlay.TryGet(keyspace, key, out var staged))
        {
            return staged.Exists ? staged.Revision : Revision.None;
        }

        using var row = Base.Get(keyspace, key);
        return row.Found ? row.Row.Revision : Revision.None;
    }

    /// <summary>True where the mutation would leave the key as it is, as the batch sees it.</summary>
    public bool WouldChangeNothing(KeyspaceId keyspace, in MutationView mutation)
    {
        if (mutation.Kind is MutationKind.PutExpiring or MutationKind.DeletePrefix)
        {
            // Its time begins anew; of a prefix CountRows tells.
            return false;
        }

        if (_overlay.TryGet(keyspace, mutation.Key, out var staged))
        {
            return mutation.Kind == MutationKind.Put
                ? staged.Exists && !staged.Expires && staged.Value.Span.SequenceEqual(mutation.Value) && staged.Metadata.Span.SequenceEqual(mutation.Metadata)
                : !staged.Exists;
        }

        using var row = Base.Get(keyspace, mutation.Key);
        if (mutation.Kind != MutationKind.Put || !row.Found)
        {
            return mutation.Kind != MutationKind.Put && !row.Found;
        }

        var current = row.Row;
        return current.ExpiresAt == LogTime.None && current.Value.SequenceEqual(mutation.Value) && current.Metadata.SequenceEqual(mutation.Metadata);
    }

    /// <summary>Staged rows that <see cref="LatestStagedChange"/> looks at.</summary>
    public int StagedRows => _overlay.Count;

    /// <summary>Latest staged change of a key, or of any key with this prefix; <see cref="Revision.None"/> where the batch has none.</summary>
    public Revision LatestStagedChange(KeyspaceId keyspace, ReadOnlySpan<byte> key, bool isPrefix) => _overlay.LatestChange(keyspace, key, isPrefix);

    /// <summary>
    /// Hub: stages the next record with these mutations (their count in front) and returns its revision. The keyspace exists.
    /// </summary>
    public Revision Append(
        KeyspaceId keyspace, LogTime logTime, OperationId operationId, ChainHash requestHash,
        ReadOnlySpan<byte> principal, ReadOnlySpan<byte> mutations)
    {
        var state = FindKeyspace(keyspace) ?? throw new InvalidOperationException($"Keyspace {keyspace} does not exist.");
        var header = new RecordHeader(_revision.Next, logTime, keyspace, state.Sequence.Next, operationId, requestHash);
        var keyspaceChain = state.Chain;

        StorageKeys.WriteRevision(_batch.BeginPut(Family(ColumnFamily.Log), StorageKeys.RevisionBytes), header.Revision);
        RecordFormat.Write(
            _batch.Value(RecordFormat.SizeOf(principal, mutations)), header, principal, mutations, ref _chain, ref keyspaceChain);
        Stage(header, state with { Sequence = header.Sequence, Chain = keyspaceChain }, mutations);
        return header.Revision;
    }

    /// <summary>Hub: what was to expire is done with, whatever became of it.</summary>
    public void DropExpiry(in Expiry expiry) => StorageKeys.WriteExpiry(
        _batch.Delete(Family(ColumnFamily.Expiry), StorageKeys.ExpiryHeadBytes + expiry.Key.Span.Length), expiry.At, expiry.Keyspace, expiry.Revision, expiry.Key.Span);

    /// <summary>
    /// Replica: stages a received record, exactly as it is. Throws <see cref="MalformedDataException"/> where it is not the next
    /// revision, not the next of its keyspace, or does not fit both chains; the batch must be reset then.
    /// </summary>
    public void AppendVerified(ReadOnlySpan<byte> bytes)
    {
        var record = RecordView.Parse(bytes);
        var header = record.Header;
        if (header.Revision != _revision.Next)
        {
            throw new MalformedDataException($"Revision {_revision.Next} was to come, the record says {header.Revision}.");
        }

        var state = FindKeyspace(header.Keyspace)
            ?? throw new MalformedDataException($"Revision {header.Revision} belongs to keyspace {header.Keyspace}, which does not exist.");
        var digest = record.ComputeDigest();
        var keyspaceChain = CheckedKeyspaceChain(record, digest, state);
        var chain = _chain.Append(digest);
        if (chain != record.LogChain)
        {
            throw new MalformedDataException($"Revision {header.Revision} does not fit the chain of the log.");
        }

        StageReceived(record, state, keyspaceChain, chain);
    }

    private void Stage(in RecordHeader header, KeyspaceState state, ReadOnlySpan<byte> mutations)
    {
        _revision = header.Revision;
        _logTime = header.LogTime;
        _touched[header.Keyspace] = state;
        Span<byte> revision = stackalloc byte[StorageKeys.RevisionBytes];
        StorageKeys.WriteRevision(revision, header.Revision);
        StorageKeys.WriteKeyspaceLog(_batch.BeginPut(Family(ColumnFamily.KeyspaceLog), StorageKeys.KeyspaceLogBytes), header.Keyspace, header.Sequence);
        _batch.Value(revision.Length).WriteRaw(revision);

        var reader = new ByteReader(mutations);
        var count = reader.ReadCount(Limits.MaxMutations, "the number of mutations");
        for (var i = 0; i < count; i++)
        {
            var mutation = MutationFormat.Read(ref reader);
            StageMutation(header, mutation);
            if (IndexesExpiry && mutation.Kind == MutationKind.PutExpiring)
            {
                StorageKeys.WriteExpiry(
                    _batch.BeginPut(Family(ColumnFamily.Expiry), StorageKeys.ExpiryHeadBytes + mutation.Key.Length),
                    mutation.ExpiresAt(header.LogTime), header.Keyspace, header.Revision, mutation.Key);
                _batch.Value(0);
            }
        }
    }

    private void StageMutation(in RecordHeader header, in MutationView mutation)
    {
        var data = Family(ColumnFamily.Data);
        switch (mutation.Kind)
        {
            case MutationKind.Put:
            case MutationKind.PutExpiring when header.Keyspace != KeyspaceId.Catalog:
                var expiresAt = mutation.ExpiresAt(header.LogTime);
                Touch(_batch.BeginPut(data, StorageKeys.KeyspaceBytes + mutation.Key.Length), header, mutation.Key);
                DataRow.Write(_batch.Value(DataRow.SizeOf(expiresAt, mutation.Metadata, mutation.Value)), header.Revision, expiresAt, mutation.Metadata, mutation.Value);
                break;
            case MutationKind.Delete:
                Touch(_batch.Delete(data, StorageKeys.KeyspaceBytes + mutation.Key.Length), header, mutation.Key);
                break;
            case MutationKind.DeletePrefix when header.Keyspace != KeyspaceId.Catalog:
                StagePrefixDelete(header, mutation.Key);
                return;
            case MutationKind.DropKeyspace when header.Keyspace == KeyspaceId.Catalog && mutation.DroppedKeyspace != KeyspaceId.Catalog:
                StageDrop(mutation.DroppedKeyspace);
                return;
            default:
                throw new MalformedDataException($"Revision {header.Revision} has a mutation of kind {mutation.Kind} in keyspace {header.Keyspace}.");
        }

        if (header.Keyspace == KeyspaceId.Catalog && mutation.Kind == MutationKind.Put)
        {
            StageCatalogRow(mutation);
        }

        _overlay.Record(header.Keyspace, header.Revision, mutation);
    }

    /// <summary>Writes the key of a row that changes. What is in memory of it goes now, long before anybody can see the change.</summary>
    private void Touch(Span<byte> dataKey, in RecordHeader header, ReadOnlySpan<byte> key)
    {
        StorageKeys.WriteData(dataKey, header.Keyspace, key);
        Base.Database.Hot.Touch(dataKey, header.Revision);
    }

    private void StageCatalogRow(in MutationView mutation)
    {
        var name = KeyspaceName.Parse(System.Text.Encoding.ASCII.GetString(mutation.Key));
        var (id, settings, createdAt) = CatalogRow.Read(mutation.Value);
        if (FindKeyspace(id) is { } known)
        {
            _touched[id] = known with { Settings = settings };
            return;
        }

        var isHeld = _progress.Subscription.Includes(name);
        if (!isHeld && id.Value < _progress.NextKeyspace.Value)
        {
            return;
        }

        if (id.Value < _progress.NextKeyspace.Value || id.Value == uint.MaxValue)
        {
            throw new MalformedDataException($"The catalog creates keyspace {id}, a number that was used before.");
        }

        if (isHeld)
        {
            _touched[id] = new(id, name, settings, createdAt, KeyspaceSequence.None, KeyspaceState.FirstChain(id));
        }

        _progress = _progress with { NextKeyspace = new(id.Value + 1) };
    }

    private void StageDrop(KeyspaceId dropped)
    {
        if (FindKeyspace(dropped) is null)
        {
            if (!_progress.Subscription.IsAll)
            {
                return;
            }

            throw new MalformedDataException($"The catalog drops keyspace {dropped}, which does not exist.");
        }

        KeyspaceRows.Delete(_batch, _store.Database, dropped);
        var prefix = new byte[StorageKeys.KeyspaceBytes];
        StorageKeys.WriteData(prefix, dropped, default);
        _deletedPrefixes.Add(prefix);
        _touched[dropped] = null;
        _overlay.Drop(dropped);
    }

    /// <summary>
    /// Writes everything staged with the position it leads to, all or nothing, and publishes the View. Not synced. Throws
    /// <see cref="StorageException"/>; the store writes nothing more then, and what was staged is not visible.
    /// </summary>
    /// <param name="appliedIndex">Hub: the Raft entry that this was. Null on a replica.</param>
    /// <param name="logTime">Hub: the stamp of that entry. Null on a replica, where the last record's counts.</param>
    public StoreProgress Commit(LogIndex? appliedIndex = null, LogTime? logTime = null)
    {
        var progress = _progress with
        {
            Position = _progress.Position with { Revision = _revision },
            Chain = _chain,
            AppliedIndex = appliedIndex ?? _progress.AppliedIndex,
            LogTime = logTime ?? _logTime,
        };
        WriteState();
        Base.Database.Hot.TouchPrefixes(_deletedPrefixes, _revision);
        try
        {
            progress = _store.Commit(_batch, progress);
        }
        catch (StorageException)
        {
            Reset();
            throw;
        }

        foreach (var (id, state) in _touched)
        {
            if (state is null)
            {
                _cache.Remove(id);
            }
            else
            {
                Remember(state);
            }
        }

        Reset();
        return progress;
    }

    private void WriteState()
    {
        var meta = Family(ColumnFamily.Meta);
        var scratch = new ByteWriter(192);
        Span<byte> key = stackalloc byte[5];
        foreach (var (id, state) in _touched)
        {
            StorageKeys.WriteKeyspaceState(key, id);
            if (state is null)
            {
                key.CopyTo(_batch.Delete(meta, key.Length));
                continue;
            }

            scratch.Clear();
            state.Write(scratch);
            _batch.Put(meta, key, scratch.WrittenSpan);
        }
    }

    private uint Family(ColumnFamily family) => _store.Database.FamilyId(family);
}
