using System.Text;
using Quicksilver.Model;

namespace Quicksilver.Storage;

/// <summary>
/// What a snapshot is of: the whole state of one node at one position, and the change log it has; or the state of some of its keyspaces,
/// without their log (docs/snapshot-format.md).
/// </summary>
/// <param name="Source">The node it was taken from.</param>
/// <param name="Progress">That which the receiver will have: of the source, at that position, with the keyspaces that were asked for.</param>
/// <param name="AppliedTerm">Hub: term of the Raft entry that the state belongs to; 0 where the source does not know it.</param>
/// <param name="EstimatedBytes">About how much room it takes; for the check of free space and for people.</param>
/// <param name="Except">For a receiver that holds these keyspaces at that position already: they are left out, and so is the catalog. Else null.</param>
public sealed record SnapshotHeader(NodeId Source, StoreProgress Progress, Term AppliedTerm, long EstimatedBytes, Subscription? Except = null)
{
    private const byte Version = 3;
    private const int MaxNameBytes = 64;
    private const int MaxProgressBytes = 1024 + Subscription.MaxBytes;

    public void Write(ByteWriter writer)
    {
        writer.WriteByte(Version);
        writer.WriteBytes(Encoding.ASCII.GetBytes(Source.Value));
        var progress = new ByteWriter();
        Progress.Write(progress);
        writer.WriteBytes(progress.WrittenSpan);
        writer.WritePosition(AppliedTerm.Value);
        writer.WritePosition(EstimatedBytes);
        writer.WriteByte(Except is null ? (byte)0 : (byte)1);
        Except?.Write(writer);
    }

    /// <summary>Reads the bytes from another process. Throws <see cref="MalformedDataException"/>; a version it does not know is one.</summary>
    public static SnapshotHeader Read(ReadOnlySpan<byte> bytes)
    {
        var reader = new ByteReader(bytes);
        if (reader.ReadByte() is var version and not Version)
        {
            throw reader.Malformed($"a snapshot has version {version}; this build reads {Version}");
        }

        var name = Encoding.ASCII.GetString(reader.ReadBytes(MaxNameBytes, "the length of the source's name"));
        if (!NodeId.TryParse(name, out var source))
        {
            throw reader.Malformed("the name of the source is none");
        }

        StoreProgress progress;
        try
        {
            progress = StoreProgress.Read(reader.ReadBytes(MaxProgressBytes, "the length of the progress"));
        }
        catch (StorageException e)
        {
            throw new MalformedDataException($"The source of a snapshot has a format of its own: {e.Message}");
        }

        var header = new SnapshotHeader(source, progress, new(reader.ReadPosition()), reader.ReadPosition(), ReadExcept(ref reader));
        reader.ExpectEnd();
        if (progress.Oldest < Revision.None.Next || progress.Oldest > progress.Position.Revision.Next)
        {
            throw new MalformedDataException($"A snapshot of revision {progress.Position.Revision} has a log that begins at {progress.Oldest}.");
        }

        return progress.Cluster.IsNone ? throw new MalformedDataException("A snapshot is of no cluster.") : header;
    }

    private static Subscription? ReadExcept(ref ByteReader reader) => reader.ReadByte() switch
    {
        0 => null,
        1 => Subscription.Read(ref reader),
        _ => throw reader.Malformed("the mark of what is left out is none"),
    };
}
