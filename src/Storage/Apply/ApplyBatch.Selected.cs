using Quicksilver.Model;
using Quicksilver.Storage.Native;

namespace Quicksilver.Storage;

/// <content>A replica that holds some of the keyspaces: records with gaps between them.</content>
public sealed partial class ApplyBatch
{
    /// <summary>Which keyspaces the store holds.</summary>
    public Subscription Subscription => _progress.Subscription;

    /// <summary>
    /// Stages a received record of a keyspace that the store holds, exactly as it is. What is between it and the one before belongs to
    /// others. Throws <see cref="MalformedDataException"/> where it goes back, is not the next of its keyspace, or does not fit that
    /// keyspace's chain (nor that of the log, where it follows at once); the batch must be reset then.
    /// </summary>
    public void AppendSelected(ReadOnlySpan<byte> bytes)
    {
        var record = RecordView.Parse(bytes);
        var header = record.Header;
        if (header.Revision <= _revision)
        {
            throw new MalformedDataException($"A revision after {_revision} was to come, the record says {header.Revision}.");
        }

        var state = FindKeyspace(header.Keyspace)
            ?? throw new MalformedDataException($"Revision {header.Revision} belongs to keyspace {header.Keyspace}, which does not exist or was not asked for.");
        var digest = record.ComputeDigest();
        var keyspaceChain = CheckedKeyspaceChain(record, digest, state);
        if (header.Revision == _revision.Next && _chain.Append(digest) != record.LogChain)
        {
            throw new MalformedDataException($"Revision {header.Revision} does not fit the chain of the log.");
        }

        StageReceived(record, state, keyspaceChain, record.LogChain);
    }

    /// <summary>
    /// There is nothing more for this store up to <paramref name="last"/>. The chain there is the source's word: who is asked next compares
    /// it with its own. Throws <see cref="MalformedDataException"/> where records go further, or end there with another chain.
    /// </summary>
    public void AdvanceTo(Revision last, ChainHash chain)
    {
        if (last < _revision || (last == _revision && chain != _chain) || chain == ChainHash.Empty)
        {
            throw new MalformedDataException($"The page ends at revision {last} with chain {chain}, its records at {_revision} with {_chain}.");
        }

        (_revision, _chain) = (last, chain);
    }

    private static ChainHash CheckedKeyspaceChain(in RecordView record, ChainHash digest, KeyspaceState state)
    {
        var header = record.Header;
        if (header.Sequence != state.Sequence.Next)
        {
            throw new MalformedDataException($"Sequence {state.Sequence.Next} of keyspace {header.Keyspace} was to come, revision {header.Revision} says {header.Sequence}.");
        }

        var chain = state.Chain.Append(digest);
        return chain == record.KeyspaceChain ? chain : throw new MalformedDataException($"Revision {header.Revision} does not fit the chain of the keyspace.");
    }

    private void StageReceived(in RecordView record, KeyspaceState state, ChainHash keyspaceChain, ChainHash logChain)
    {
        var header = record.Header;
        if (header.LogTime < _logTime)
        {
            throw new MalformedDataException($"Revision {header.Revision} has log time {header.LogTime}, the one before has {_logTime}.");
        }

        Span<byte> key = stackalloc byte[StorageKeys.RevisionBytes];
        StorageKeys.WriteRevision(key, header.Revision);
        _batch.Put(Family(ColumnFamily.Log), key, record.Bytes);
        _chain = logChain;
        Stage(header, state with { Sequence = header.Sequence, Chain = keyspaceChain }, record.MutationBytes);
    }
}
