using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Testing.Checkers;

/// <summary>A record of the change log, as far as the checks look at it.</summary>
public sealed record LoggedWrite(Revision Revision, OperationId Operation, ChainHash Digest);

/// <summary>A write that a client was told is done.</summary>
public sealed record AcknowledgedWrite(OperationId Operation, Revision Revision);

/// <summary>What must hold of the change logs of all nodes, whatever happened to them. Each check returns what it found wrong, for people.</summary>
public static class LogChecks
{
    /// <summary>All records of a View.</summary>
    public static IReadOnlyList<LoggedWrite> Read(View view)
    {
        var records = new List<LoggedWrite>();
        using var cursor = view.OpenLog();
        for (var more = cursor.Seek(view.Progress.Oldest); more; more = cursor.Next())
        {
            var record = RecordView.Parse(cursor.Record);
            records.Add(new(record.Header.Revision, record.Header.OperationId, record.ComputeDigest()));
        }

        return records;
    }

    /// <summary>A log has every revision from its first to its last, once, in order.</summary>
    public static IReadOnlyList<string> Dense(string node, IReadOnlyList<LoggedWrite> log) =>
        [.. log.Zip(log.Skip(1)).Where(pair => pair.Second.Revision != pair.First.Revision.Next)
            .Select(pair => $"{node}: revision {pair.Second.Revision} follows {pair.First.Revision}")];

    /// <summary>Two logs have the same record at every revision that both have.</summary>
    public static IReadOnlyList<string> Agree(string one, IReadOnlyList<LoggedWrite> first, string other, IReadOnlyList<LoggedWrite> second)
    {
        var byRevision = first.ToDictionary(record => record.Revision);
        return [.. second.Where(record => byRevision.TryGetValue(record.Revision, out var twin) && twin != record)
            .Select(record => $"{one} and {other} have different records at revision {record.Revision}")];
    }

    /// <summary>No operation took effect twice.</summary>
    public static IReadOnlyList<string> Once(IReadOnlyList<LoggedWrite> log) =>
        [.. log.GroupBy(record => record.Operation).Where(same => same.Count() > 1)
            .Select(same => $"operation {same.Key} took effect at revisions {string.Join(", ", same.Select(record => record.Revision))}")];

    /// <summary>Everything that was acknowledged is there, at the revision that was told.</summary>
    public static IReadOnlyList<string> Durable(IReadOnlyList<LoggedWrite> log, IEnumerable<AcknowledgedWrite> acknowledged)
    {
        var byRevision = log.ToDictionary(record => record.Revision);
        return [.. acknowledged.Where(write => !byRevision.TryGetValue(write.Revision, out var record) || record.Operation != write.Operation)
            .Select(write => $"operation {write.Operation} was acknowledged at revision {write.Revision}, which is {(byRevision.TryGetValue(write.Revision, out var other) ? $"of operation {other.Operation}" : "not there")}")];
    }
}
