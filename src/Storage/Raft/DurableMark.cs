using Microsoft.Win32.SafeHandles;
using Quicksilver.Model;

namespace Quicksilver.Storage;

/// <summary>
/// What a member knows to be on its disk, kept apart from it: the file <c>mark</c> of the Raft directory. A database that was cut
/// off opens as if it had always ended there, because a torn last write looks just like it. The mark tells the two apart: what it
/// names was durable, so a log that ends before it has lost what was acknowledged.
///
/// Written after each flush, and not synced: a killed process leaves it exact, a power cut may leave an older one, and it never names
/// more than is there. Only where the log is about to get shorter it is synced, and before.
/// </summary>
internal sealed class DurableMark : IDisposable
{
    private const string FileName = "mark";
    private const byte Version = 1;
    internal const int Bytes = 1 + 8 + 8 + 8 + ChainHash.SizeBytes;

    private readonly SafeFileHandle _lazy;
    private readonly SafeFileHandle _through;
    private readonly byte[] _buffer = new byte[Bytes];
    private readonly Lock _gate = new();

    private DurableMark(SafeFileHandle lazy, SafeFileHandle through, RaftFloor last, long votes) =>
        (_lazy, _through, Last, Votes) = (lazy, through, last, votes);

    /// <summary>The last entry that is durable, and its term.</summary>
    public RaftFloor Last { get; private set; }

    /// <summary>Number of the last change of the votes that is durable; 0 for none.</summary>
    public long Votes { get; private set; }

    /// <summary>Opens the mark, or makes one that names nothing. Throws <see cref="StorageException"/> (Corrupt, Io).</summary>
    public static DurableMark Open(string directory)
    {
        var path = Path.Combine(directory, FileName);
        try
        {
            if (!File.Exists(path))
            {
                Directory.CreateDirectory(directory);
                var partial = path + ".partial";
                using (var file = File.OpenHandle(partial, FileMode.Create, FileAccess.Write, FileShare.None, FileOptions.WriteThrough))
                {
                    var empty = new byte[Bytes];
                    Write(empty, default, 0);
                    RandomAccess.Write(file, empty, 0);
                }

                File.Move(partial, path);
                DirectorySync.Flush(directory);
                DirectorySync.Flush(Path.GetDirectoryName(Path.GetFullPath(directory))!);
            }

            var bytes = File.ReadAllBytes(path);
            var (last, votes) = Undamaged.Read(bytes, Parse, $"the file '{path}'. This member must be repaired");
            var lazy = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
            var through = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, FileOptions.WriteThrough);
            return new(lazy, through, last, votes);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StorageException(StorageFault.Io, $"Cannot use the file '{path}': {e.Message}", e);
        }
    }

    public static bool IsIn(string directory) => File.Exists(Path.Combine(directory, FileName));

    /// <summary>Notes the last durable entry.</summary>
    public void SetLast(RaftFloor last)
    {
        lock (_gate)
        {
            Last = last;
            Save(_lazy);
        }
    }

    /// <summary>The log is about to be cut off behind this entry: on disk on return.</summary>
    public void LowerTo(RaftFloor last)
    {
        lock (_gate)
        {
            if (last.Index < Last.Index)
            {
                Last = last;
                Save(_through);
            }
        }
    }

    /// <summary>Notes the last durable change of the votes.</summary>
    public void SetVotes(long number)
    {
        lock (_gate)
        {
            Votes = number;
            Save(_lazy);
        }
    }

    private void Save(SafeFileHandle file)
    {
        Write(_buffer, Last, Votes);
        try
        {
            RandomAccess.Write(file, _buffer, 0);
        }
        catch (IOException e)
        {
            throw new StorageException(StorageFault.Io, $"Cannot write the file '{FileName}' of the Raft directory: {e.Message}", e);
        }
    }

    internal static void Write(Span<byte> destination, RaftFloor last, long votes)
    {
        var writer = new ByteWriter(Bytes);
        writer.WriteByte(Version);
        writer.WritePosition(last.Index.Value);
        writer.WritePosition(last.Term.Value);
        writer.WritePosition(votes);
        ChainHash.DigestOf(writer.WrittenSpan).Write(writer.Reserve(ChainHash.SizeBytes));
        writer.WrittenSpan.CopyTo(destination);
    }

    internal static (RaftFloor Last, long Votes) Parse(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length != Bytes || ChainHash.DigestOf(bytes[..^ChainHash.SizeBytes]) != ChainHash.Read(bytes[^ChainHash.SizeBytes..]))
        {
            throw new MalformedDataException("It does not fit its digest.");
        }

        var reader = new ByteReader(bytes);
        if (reader.ReadByte() is var version and not Version)
        {
            throw new StorageException(StorageFault.Foreign, $"The Raft directory has a mark in format version {version}; this build reads {Version}. Use the build that wrote it.");
        }

        return (new(new(reader.ReadPosition()), new(reader.ReadPosition())), reader.ReadPosition());
    }

    public void Dispose()
    {
        _lazy.Dispose();
        _through.Dispose();
    }
}
