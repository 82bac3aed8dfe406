using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <summary>
/// Judges the conditions of the transactions of one Raft entry against the state its batch has reached. Its work is bounded for
/// the whole entry, by counts that are the same on every member.
/// </summary>
internal sealed class ConditionJudge(ApplyBatch batch)
{
    private int _work;

    /// <summary>A new entry begins.</summary>
    public void Begin() => _work = 0;

    /// <summary>Null where all hold; else the outcome that names the first that does not.</summary>
    public CommitOutcome? Judge(in CommandView command)
    {
        var reader = command.Conditions;
        for (var i = 0; i < command.ConditionCount; i++)
        {
            var condition = ConditionView.Read(ref reader);
            if (Holds(command.Keyspace, condition, out var actual))
            {
                continue;
            }

            return CommitOutcome.ConditionFailed(i, actual);
        }

        return null;
    }

    private bool Holds(KeyspaceId keyspace, in ConditionView condition, out Revision actual)
    {
        switch (condition.Kind)
        {
            case ConditionKind.Absent:
                actual = batch.RowRevision(keyspace, condition.Key);
                return actual == Revision.None;
            case ConditionKind.RevisionIs:
                actual = batch.RowRevision(keyspace, condition.Key);
                return actual == condition.Revision;
            case ConditionKind.KeyUnchangedSince:
                actual = batch.RowRevision(keyspace, condition.Key);

                // A row that is there carries its last change. One that is not there may have been deleted since.
                return actual != Revision.None
                    ? actual <= condition.Revision
                    : UnchangedByLog(keyspace, condition, isPrefix: false, ref actual);
            case ConditionKind.PrefixUnchangedSince:
                actual = Revision.None;
                return UnchangedByLog(keyspace, condition, isPrefix: true, ref actual);
            default:
                throw new MalformedDataException($"Condition kind {condition.Kind} is unknown to this version.");
        }
    }

    /// <summary>
    /// Looks for a change after the condition's revision: first in the batch, then back through the log of the keyspace. The
    /// window is counted in revisions, so every member judges alike whatever else it has kept.
    /// </summary>
    private bool UnchangedByLog(KeyspaceId keyspace, in ConditionView condition, bool isPrefix, ref Revision actual)
    {
        _work += batch.StagedRows;
        var staged = batch.LatestStagedChange(keyspace, condition.Key, isPrefix);
        if (staged > condition.Revision)
        {
            actual = staged;
            return false;
        }

        if (batch.Revision.Value - condition.Revision.Value > Limits.MaxConditionWindow)
        {
            actual = batch.Revision;
            return false;
        }

        using var sequence = batch.Base.OpenKeyspaceLog(keyspace);
        using var log = batch.Base.OpenLog();
        for (var more = sequence.SeekForPrevious(new(long.MaxValue)); more && sequence.Revision > condition.Revision; more = sequence.Previous())
        {
            if (_work > Limits.MaxConditionWork)
            {
                actual = batch.Revision;
                return false;
            }

            if (!log.Seek(sequence.Revision) || log.Revision != sequence.Revision)
            {
                throw new StorageException(StorageFault.Corrupt, $"The change log lacks revision {sequence.Revision}.");
            }

            if (Touches(RecordView.Parse(log.Record), condition.Key, isPrefix))
            {
                actual = sequence.Revision;
                return false;
            }
        }

        return true;
    }

    private bool Touches(in RecordView record, ReadOnlySpan<byte> key, bool isPrefix)
    {
        var reader = new ByteReader(record.MutationBytes);
        var count = reader.ReadCount(Limits.MaxMutations, "the number of mutations");
        _work += count;
        for (var left = count; left > 0; left--)
        {
            var mutation = MutationFormat.Read(ref reader);
            if (isPrefix ? mutation.ChangesBelow(key) : mutation.Changes(key))
            {
                return true;
            }
        }

        return false;
    }
}
