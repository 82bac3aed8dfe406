using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <summary>
/// Counts what the prefix deletes of the transactions of one Raft entry would remove, before anything is removed. Its work is bounded for the
/// whole entry, by counts that are the same on every member.
/// </summary>
internal sealed class PrefixGuard(ApplyBatch batch)
{
    /// <summary>When to ask again what found the work of its entry spent. The next entry begins anew.</summary>
    private static readonly TimeSpan RetryAfter = TimeSpan.FromMilliseconds(50);

    private int _left;

    /// <summary>A new entry begins.</summary>
    public void Begin() => _left = Limits.MaxPrefixWork;

    /// <summary>Null where the transaction may do what it asks for; else its outcome.</summary>
    /// <param name="rows">Rows that its prefix deletes remove.</param>
    public CommitOutcome? Judge(in CommandView command, out int rows)
    {
        rows = 0;
        if (!command.DeletesPrefixes)
        {
            return null;
        }

        var reader = new ByteReader(command.MutationBytes);
        for (var left = reader.ReadCount(Limits.MaxMutations, "the number of mutations"); left > 0; left--)
        {
            var mutation = MutationFormat.Read(ref reader);
            if (mutation.Kind != MutationKind.DeletePrefix)
            {
                break;
            }

            _left -= Limits.PrefixDeleteCost;
            if (_left >= 0)
            {
                rows += batch.CountRows(command.Keyspace, mutation.Key, Limits.MaxPrefixRows - rows, ref _left);
            }

            if (rows > Limits.MaxPrefixRows)
            {
                return CommitOutcome.TooManyRows(batch.Revision);
            }

            if (_left < 0)
            {
                // Nothing of it was done. Asked again it comes with another entry, which has a bound of its own.
                return CommitOutcome.Overloaded(RetryAfter);
            }
        }

        return null;
    }
}
