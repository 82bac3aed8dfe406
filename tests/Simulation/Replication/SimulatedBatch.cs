using System.Text;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Simulation.Replication;

/// <summary>
/// Records on their way into a store, checked and staged as by <see cref="ApplyBatch"/>: in a whole store against the chains of the log and of
/// the keyspace, in one that holds some keyspaces against that of the keyspace. Nothing of it is there before <see cref="Commit"/>.
/// </summary>
internal sealed class SimulatedBatch
{
    private readonly Plant _plant;
    private readonly Dictionary<KeyspaceId, KeyspaceImage> _keyspaces;
    private Dictionary<KeyspaceName, KeyspaceId> _names;
    private bool _ownsNames;
    private StoreProgress _progress;
    private ChainHash _chain;
    private LogTime _logTime;

    public SimulatedBatch(StoreState state, Plant plant)
    {
        _plant = plant;
        (_progress, _keyspaces, _names) = (state.Progress, new(state.Keyspaces), state.Names);
        (Revision, _chain, _logTime) = (_progress.Position.Revision, _progress.Chain, _progress.LogTime);
    }

    public Revision Revision { get; private set; }

    public bool IsWhole => _progress.Subscription.IsAll;

    /// <summary>Those that are staged.</summary>
    public List<LogRow> Rows { get; } = [];

    /// <summary>The revisions that the records name, in the order in which they came.</summary>
    public List<Revision> Named { get; } = [];

    /// <summary>An empty store becomes part of a cluster.</summary>
    public void Adopt(ClusterUuid cluster, HistoryId history)
    {
        _chain = StoreProgress.FirstChain(cluster, history);
        _progress = _progress with { Cluster = cluster, Position = new(LogId.Main, history, Revision.None), OldestChain = _chain };
    }

    private KeyspaceImage? Find(KeyspaceId id)
    {
        if (_keyspaces.TryGetValue(id, out var known) || id != KeyspaceId.Catalog)
        {
            return known;
        }

        // Before its first record it follows the cluster.
        var firstChain = StoreProgress.FirstChain(_progress.Cluster, _progress.Position.History);
        return new(id, KeyspaceImage.CatalogName, KeyspaceSequence.None, firstChain, []);
    }

    /// <summary>Throws <see cref="MalformedDataException"/> where the record is not the next.</summary>
    public void AppendVerified(ReadOnlyMemory<byte> bytes)
    {
        var record = RecordView.Parse(bytes.Span);
        var header = record.Header;
        Named.Add(header.Revision);
        if (IsPutOverItself(header))
        {
            return;
        }

        if (_plant != Plant.SkipsARecord && header.Revision != Revision.Next)
        {
            throw new MalformedDataException($"Revision {Revision.Next} was to come, the record says {header.Revision}.");
        }

        var keyspace = Find(header.Keyspace)
            ?? throw new MalformedDataException($"Revision {header.Revision} belongs to keyspace {header.Keyspace}, which does not exist.");
        var digest = record.ComputeDigest();
        var keyspaceChain = CheckedKeyspaceChain(record, digest, keyspace);
        var chain = _chain.Append(digest);
        if (chain != record.LogChain && !TakesAnyChain)
        {
            throw new MalformedDataException($"Revision {header.Revision} does not fit the chain of the log.");
        }

        Stage(bytes, record, keyspace with { Sequence = header.Sequence, Chain = keyspaceChain }, Revision.Next, chain);
    }

    /// <summary>Throws <see cref="MalformedDataException"/> where the record is not the next of a keyspace that the store holds.</summary>
    public void AppendSelected(ReadOnlyMemory<byte> bytes)
    {
        var record = RecordView.Parse(bytes.Span);
        var header = record.Header;
        Named.Add(header.Revision);
        if (IsPutOverItself(header))
        {
            return;
        }

        if (header.Revision <= Revision)
        {
            throw new MalformedDataException($"A revision after {Revision} was to come, the record says {header.Revision}.");
        }

        if (Find(header.Keyspace) is not { } keyspace)
        {
            if (_plant == Plant.SendsEverything)
            {
                Rows.Add(new(header.Revision, header.Keyspace, bytes));
                (Revision, _chain) = (header.Revision, record.LogChain);
                return;
            }

            throw new MalformedDataException($"Revision {header.Revision} belongs to keyspace {header.Keyspace}, which does not exist or was not asked for.");
        }

        var digest = record.ComputeDigest();
        var keyspaceChain = CheckedKeyspaceChain(record, digest, keyspace);
        if (header.Revision == Revision.Next && _chain.Append(digest) != record.LogChain && !TakesAnyChain)
        {
            throw new MalformedDataException($"Revision {header.Revision} does not fit the chain of the log.");
        }

        Stage(bytes, record, keyspace with { Sequence = header.Sequence, Chain = keyspaceChain }, header.Revision, record.LogChain);
    }

    /// <summary>There is nothing more for this store up to <paramref name="last"/>, and the chain there is the source's word.</summary>
    public void AdvanceTo(Revision last, ChainHash chain)
    {
        if (last < Revision || (last == Revision && chain != _chain) || chain == ChainHash.Empty)
        {
            throw new MalformedDataException($"The page ends at revision {last} with chain {chain}, its records at {Revision} with {_chain}.");
        }

        (Revision, _chain) = (last, chain);
    }

    /// <summary>The bug of <see cref="Plant.SkipsARecord"/>: what a page says of its end is believed.</summary>
    public void Believe(Revision last) => Revision = last;

    private bool TakesAnyChain => _plant is Plant.TakesChainsOnTrust or Plant.SkipsARecord;

    /// <summary>The bug of <see cref="Plant.AppliesTwice"/>: nothing shows it but that it was done.</summary>
    private bool IsPutOverItself(in RecordHeader header) => _plant == Plant.AppliesTwice && header.Revision <= Revision;

    private ChainHash CheckedKeyspaceChain(in RecordView record, ChainHash digest, KeyspaceImage keyspace)
    {
        var header = record.Header;
        if (_plant != Plant.SkipsARecord && header.Sequence != keyspace.Sequence.Next)
        {
            throw new MalformedDataException($"Sequence {keyspace.Sequence.Next} of keyspace {header.Keyspace} was to come, revision {header.Revision} says {header.Sequence}.");
        }

        var chain = keyspace.Chain.Append(digest);
        return chain == record.KeyspaceChain || TakesAnyChain
            ? chain
            : throw new MalformedDataException($"Revision {header.Revision} does not fit the chain of the keyspace.");
    }

    private void Stage(ReadOnlyMemory<byte> bytes, in RecordView record, KeyspaceImage keyspace, Revision revision, ChainHash chain)
    {
        var header = record.Header;
        if (header.LogTime < _logTime)
        {
            throw new MalformedDataException($"Revision {header.Revision} has log time {header.LogTime}, the one before has {_logTime}.");
        }

        (Revision, _chain, _logTime) = (revision, chain, header.LogTime);
        Rows.Add(new(revision, header.Keyspace, bytes));
        var rows = (Revision[])keyspace.Rows.Clone();
        _keyspaces[keyspace.Id] = keyspace with { Rows = rows };
        var reader = new ByteReader(record.MutationBytes);
        for (var left = reader.ReadCount(Limits.MaxMutations, "the number of mutations"); left > 0; left--)
        {
            var mutation = MutationFormat.Read(ref reader);
            if (header.Keyspace == KeyspaceId.Catalog)
            {
                StageCatalog(mutation);
            }
            else
            {
                var changedAt = mutation.Kind switch
                {
                    MutationKind.Put => revision,
                    MutationKind.Delete => Revision.None,
                    _ => throw new MalformedDataException($"Revision {revision} has a mutation of kind {mutation.Kind} in keyspace {header.Keyspace}."),
                };
                rows[KeyspaceImage.RowOf(mutation.Key)] = changedAt;
            }
        }
    }

    private void StageCatalog(in MutationView mutation)
    {
        switch (mutation.Kind)
        {
            case MutationKind.Put:
                StageCatalogRow(KeyspaceName.Parse(Encoding.ASCII.GetString(mutation.Key)), CatalogRow.Read(mutation.Value).Id);
                break;
            case MutationKind.Delete:
                OwnNames().Remove(KeyspaceName.Parse(Encoding.ASCII.GetString(mutation.Key)));
                break;
            case MutationKind.DropKeyspace:
                if (!_keyspaces.Remove(mutation.DroppedKeyspace) && IsWhole)
                {
                    throw new MalformedDataException($"The catalog drops keyspace {mutation.DroppedKeyspace}, which does not exist.");
                }

                break;
            default:
                throw new MalformedDataException($"The catalog has a mutation of kind {mutation.Kind}.");
        }
    }

    private void StageCatalogRow(KeyspaceName name, KeyspaceId id)
    {
        OwnNames()[name] = id;
        var isHeld = _progress.Subscription.Includes(name);
        if (_keyspaces.ContainsKey(id) || (!isHeld && id.Value < _progress.NextKeyspace.Value))
        {
            return;
        }

        if (id.Value < _progress.NextKeyspace.Value)
        {
            throw new MalformedDataException($"The catalog creates keyspace {id}, a number that was used before.");
        }

        if (isHeld)
        {
            _keyspaces[id] = new(id, name, KeyspaceSequence.None, KeyspaceImage.FirstChain(id), new Revision[KeyspaceImage.RowCount]);
        }

        _progress = _progress with { NextKeyspace = new(id.Value + 1) };
    }

    /// <summary>Those of the state below are shared until one is changed.</summary>
    private Dictionary<KeyspaceName, KeyspaceId> OwnNames()
    {
        if (!_ownsNames)
        {
            (_names, _ownsNames) = (new(_names), true);
        }

        return _names;
    }

    /// <summary>The state that it leads to.</summary>
    public StoreState Commit() => new(
        _progress with { Position = _progress.Position with { Revision = Revision }, Chain = _chain, LogTime = _logTime }, _keyspaces, _names);
}
