using System.Text;
using Quicksilver.Model;
using Quicksilver.Sequencing;
using Quicksilver.Storage;

namespace Quicksilver.Testing;

/// <summary>
/// A hub's store without Raft: applies entries that a test makes, one after the other, on a real database. The cluster is formed
/// and has the keyspace <c>flags</c> (id 1, revision 1).
/// </summary>
public sealed class HubStore : IDisposable
{
    public static readonly KeyspaceId Flags = new(1);

    private readonly string _path;
    private readonly OperationWindow _window;
    private readonly Action<byte[]>? _onEntry;
    private readonly NodeStoreOptions _options;
    private DataDirectory _directory;
    private ulong _proposal;

    /// <param name="onEntry">Hears of every entry that is applied, as bytes.</param>
    /// <param name="hotRows">Rows in memory.</param>
    public HubStore(string path, OperationWindow? window = null, Action<byte[]>? onEntry = null, int hotRows = 20_000)
    {
        _options = new() { Node = NodeId.Parse("hub-0"), HotRows = hotRows };
        _onEntry = onEntry;
        _path = path;
        _window = window ?? OperationWindow.Default;
        _directory = DataDirectory.Take(path);
        Store = NodeStore.Open(_directory, _options);
        Applier = new(Store, _window);
        Commands = new(Now);
        if (Store.Progress.Cluster.IsNone)
        {
            var form = new ByteWriter();
            CommandWriter.WriteFormCluster(form, default, new(1, 2), new(3, 4));
            ApplyOne(form.ToArray());
            ApplyOne(Commands.Create("flags"));
        }
    }

    public NodeStore Store { get; private set; }

    public EntryApplier Applier { get; private set; }

    public Commands Commands { get; }

    /// <summary>The leader's clock, which the test moves.</summary>
    public LogTime Now { get; set; } = new(1_700_000_000_000);

    public LogIndex Index => Store.Progress.AppliedIndex;

    /// <summary>The last entry that was applied, as bytes.</summary>
    public byte[] LastEntry { get; private set; } = [];

    public CommitOutcome ApplyOne(ReadOnlyMemory<byte> command) => Apply(command)[0];

    /// <summary>Applies commands as one Raft entry.</summary>
    public CommitOutcome[] Apply(params IReadOnlyList<ReadOnlyMemory<byte>> commands)
    {
        LastEntry = Entry(Store.Progress, commands);
        _onEntry?.Invoke(LastEntry);
        return Applier.Apply(new(Index.Value + 1), LastEntry)!.Outcomes;
    }

    public byte[] Entry(StoreProgress progress, IReadOnlyList<ReadOnlyMemory<byte>> commands)
    {
        var writer = new ByteWriter();
        EntryFormat.WriteHeader(writer, new(new(1, ++_proposal), Now, progress.Position.Revision, progress.Chain), commands.Count);
        foreach (var command in commands)
        {
            EntryFormat.WriteCommand(writer, default, command.Span);
        }

        return writer.ToArray();
    }

    public string? Get(string key, KeyspaceId? keyspace = null)
    {
        using var view = Store.AcquireView();
        using var row = view.Get(keyspace ?? Flags, Encoding.UTF8.GetBytes(key));
        return row.Found ? Encoding.UTF8.GetString(row.Row.Value) : null;
    }

    public StateHashes Hashes()
    {
        using var view = Store.AcquireView();
        return StateHash.Compute(view, view, view.Position.Revision, CancellationToken.None);
    }

    /// <summary>Every record of the log, from revision 1, read back and checked against the chain.</summary>
    public List<byte[]> Records()
    {
        using var view = Store.AcquireView();
        var chain = view.FindChain(Revision.None)!.Value;
        var writer = new ByteWriter();
        var from = new Revision(1);
        while (from <= view.Position.Revision)
        {
            from = ChangeLog.ReadPage(view, from, ref chain, 64 * 1024, writer);
        }

        var records = new List<byte[]>();
        var reader = new ByteReader(writer.WrittenSpan);
        while (reader.Remaining > 0)
        {
            records.Add(reader.ReadBytes(RecordFormat.MaxBytes, "the record's length").ToArray());
        }

        return records;
    }

    /// <summary>Closes and opens the store, as a restart does.</summary>
    public void Reopen()
    {
        Dispose();
        _directory = DataDirectory.Take(_path);
        Store = NodeStore.Open(_directory, _options);
        Applier = new(Store, _window);
    }

    public void Dispose()
    {
        Store.Dispose();
        _directory.Dispose();
    }
}
