using System.Text;
using Quicksilver.Client;
using Quicksilver.Model;

namespace Quicksilver.Samples.PublicSuffix;

/// <summary>What an import did.</summary>
public sealed record ImportReport(int Rules, int Added, int Removed);

/// <summary>
/// Brings a keyspace to exactly the rules of a list: adds and changes what differs, removes what is gone. Run again, it writes
/// nothing.
/// </summary>
public static class ListImport
{
    private const int BatchSize = 1_000;

    public static async Task<ImportReport> RunAsync(IQuicksilverClient client, string keyspace, TextReader list, CancellationToken cancellation = default)
    {
        await client.Catalog.CreateAsync(keyspace, cancellation: cancellation);
        var rules = client.Keyspace(keyspace);
        var wanted = SuffixList.Read(list).GroupBy(rule => rule.Text).ToDictionary(group => Key.From(group.Key), group => Encoding.UTF8.GetBytes(group.Last().Section));
        var missing = new Dictionary<Key, byte[]>(wanted);
        var gone = new List<Key>();
        await foreach (var row in rules.ScanAsync(cancellation: cancellation))
        {
            if (!wanted.TryGetValue(row.Key, out var section))
            {
                gone.Add(row.Key);
            }
            else if (row.Entry.Value.Span.SequenceEqual(section))
            {
                missing.Remove(row.Key);
            }
        }

        var mutations = missing.Select(rule => Mutation.Put(rule.Key, rule.Value)).Concat(gone.Select(Mutation.Delete));
        foreach (var batch in mutations.Chunk(BatchSize))
        {
            await rules.CommitAsync([], batch, cancellation: cancellation);
        }

        return new(wanted.Count, missing.Count, gone.Count);
    }
}
