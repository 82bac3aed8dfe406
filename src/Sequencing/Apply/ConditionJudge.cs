using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <summary>Judges the conditions of a transaction against the state its batch has reached.</summary>
internal static class ConditionJudge
{
    /// <summary>Null where all hold; else the outcome that names the first that does not.</summary>
    public static CommitOutcome? Judge(ApplyBatch batch, in CommandView command)
    {
        var reader = command.Conditions;
        for (var i = 0; i < command.ConditionCount; i++)
        {
            var condition = ConditionView.Read(ref reader);
            if (Holds(batch, command.Keyspace, condition, out var actual))
            {
                continue;
            }

            return CommitOutcome.ConditionFailed(i, actual);
        }

        return null;
    }

    private static bool Holds(ApplyBatch batch, KeyspaceId keyspace, in ConditionView condition, out Revision actual)
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
                    : UnchangedByLog(batch, keyspace, condition, isPrefix: false, ref actual);
            case ConditionKind.PrefixUnchangedSince:
                actual = Revision.None;
                return UnchangedByLog(batch, keyspace, condition, isPrefix: true, ref actual);
            default:
                throw new MalformedDataException($"Condition kind {condition.Kind} is unknown to this version.");
        }
    }

    /// <summary>
    /// Looks for a change after the condition's revision: first in the batch, then back through the log of the keyspace. The
    /// window is counted in revisions, so every member judges alike whatever else it has kept.
    /// </summary>
    private static bool UnchangedByLog(ApplyBatch batch, KeyspaceId keyspace, in ConditionView condition, bool isPrefix, ref Revision actual)
    {
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
            if (log.Seek(sequence.Revision) && Touches(RecordView.Parse(log.Record), condition.Key, isPrefix))
            {
                actual = sequence.Revision;
                return false;
            }
        }

        return true;
    }

    private static bool Touches(in RecordView record, ReadOnlySpan<byte> key, bool isPrefix)
    {
        var reader = new ByteReader(record.MutationBytes);
        for (var left = reader.ReadCount(Limits.MaxMutations, "the number of mutations"); left > 0; left--)
        {
            var mutation = MutationFormat.Read(ref reader);
            if (isPrefix ? mutation.Key.StartsWith(key) : mutation.Key.SequenceEqual(key))
            {
                return true;
            }
        }

        return false;
    }
}
