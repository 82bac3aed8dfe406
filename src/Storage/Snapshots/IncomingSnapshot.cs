using System.Globalization;
using Quicksilver.Model;
using Quicksilver.Storage.Native;

namespace Quicksilver.Storage;

/// <summary>A table file of an incoming snapshot.</summary>
internal sealed record SnapshotFile(SnapshotSection Section, string Path);

/// <summary>
/// A snapshot on its way in: table files in a directory of their own, beside the database, which stays as it is. What was received is
/// durable file by file, so that a process that is started again goes on after the last whole file. For one thread.
/// </summary>
/// <remarks>
/// Crash safety: a file is finished and synced, then the file <c>state</c> that names it is replaced by a rename. Files that it does not
/// name are deleted at the next start.
/// </remarks>
public sealed class IncomingSnapshot : IDisposable
{
    private const byte Version = 3;
    private const int MaxFiles = 1_000_000;
    private const int MaxHeaderBytes = 4096 + (2 * Subscription.MaxBytes);

    private readonly string _directory;
    private readonly long _fileBytes;
    private readonly List<SnapshotFile> _files = [];
    private TableFile? _current;
    private string? _currentPath;

    private IncomingSnapshot(string directory, long fileBytes) => (_directory, _fileBytes) = (directory, fileBytes);

    /// <summary>What is being received; null before <see cref="Begin"/>.</summary>
    public SnapshotHeader? Header { get; private set; }

    /// <summary>The session at the source.</summary>
    public long Session { get; private set; }

    /// <summary>The section of the next block, <see cref="SnapshotSection.End"/> where all is there.</summary>
    public SnapshotSection Section { get; private set; } = SnapshotSection.Rows;

    /// <summary>The last key of the section that was received; empty for none.</summary>
    public ReadOnlyMemory<byte> After { get; private set; }

    public bool IsComplete => Section == SnapshotSection.End;

    /// <summary>Bytes of rows received by this process.</summary>
    public long ReceivedBytes { get; private set; }

    internal IReadOnlyList<SnapshotFile> Files => _files;

    private string StatePath => Path.Combine(_directory, "state");

    /// <summary>What is there of a snapshot that was begun before, or nothing. Throws <see cref="StorageException"/> (Io).</summary>
    internal static IncomingSnapshot Open(DataDirectory directory, long fileBytes) => Guarded(directory.SnapshotPath, () =>
    {
        var snapshot = new IncomingSnapshot(directory.SnapshotPath, fileBytes);
        Directory.CreateDirectory(snapshot._directory);
        snapshot.Load();
        return snapshot;
    });

    private void Load()
    {
        try
        {
            if (File.Exists(StatePath))
            {
                Parse(File.ReadAllBytes(StatePath));
            }
        }
        catch (MalformedDataException)
        {
            // Nothing of value: it is begun again.
            Forget();
        }

        var known = _files.Select(file => file.Path).Append(StatePath).ToHashSet(StringComparer.Ordinal);
        if (!_files.TrueForAll(file => File.Exists(file.Path)))
        {
            Forget();
            known.Clear();
        }

        foreach (var path in Directory.GetFiles(_directory).Where(path => !known.Contains(path)))
        {
            File.Delete(path);
        }
    }

    private void Forget()
    {
        _files.Clear();
        (Header, Session, Section, After) = (null, 0, SnapshotSection.Rows, default);
    }

    /// <summary>A snapshot from its beginning. What was received of another is deleted. Throws <see cref="StorageException"/> (Io).</summary>
    public void Begin(SnapshotHeader header, long session) => Guarded(_directory, () =>
    {
        Abandon();
        Forget();
        foreach (var path in Directory.GetFiles(_directory))
        {
            File.Delete(path);
        }

        (Header, Session) = (header, session);
        FailPoint.Hit(FailPoint.SnapshotCleared);
        Save();
        FailPoint.Hit(FailPoint.SnapshotBegun);
        return true;
    });

    /// <summary>What is to be asked for behind this block. Throws <see cref="MalformedDataException"/> where it is not the one that is due, or damaged.</summary>
    public (SnapshotSection Section, ReadOnlyMemory<byte> After) Follows(ReadOnlySpan<byte> block)
    {
        if (Header is null || IsComplete)
        {
            throw new InvalidOperationException("No block is due.");
        }

        var (last, isLast) = SnapshotBlock.Parse(block, Section, After.Span, onRow: null);
        return isLast ? (Section + 1, default) : (Section, last!);
    }

    /// <summary>
    /// The next block. Throws <see cref="MalformedDataException"/> where it is not the one that is due, or damaged (nothing was taken
    /// then), and <see cref="StorageException"/> (Io) where the disk refuses: open what is there again then.
    /// </summary>
    public void Add(ReadOnlySpan<byte> block)
    {
        if (Header is null || IsComplete)
        {
            throw new InvalidOperationException("No block is due.");
        }

        var section = Section;
        var (last, isLast) = SnapshotBlock.Parse(block, section, After.Span, (key, value) =>
        {
            _current ??= Create(section);
            _current.Put(key, value);
        });
        FailPoint.Hit(FailPoint.SnapshotBlock);
        ReceivedBytes += block.Length;
        After = isLast ? default : last!;
        if (isLast)
        {
            Section++;
        }

        if (isLast || _current?.Bytes >= _fileBytes)
        {
            Guarded(_directory, () =>
            {
                FinishFile(section);
                FailPoint.Hit(FailPoint.SnapshotFile);
                Save();
                FailPoint.Hit(FailPoint.SnapshotSaved);
                return true;
            });
        }
    }

    private TableFile Create(SnapshotSection section)
    {
        _currentPath = Path.Combine(_directory, string.Create(CultureInfo.InvariantCulture, $"{(int)section}-{_files.Count:000000}.sst"));
        return new(_currentPath, SnapshotSections.FamilyOf(section));
    }

    private void FinishFile(SnapshotSection section)
    {
        if (_current is null)
        {
            return;
        }

        _current.Finish();
        _current.Dispose();
        _current = null;
        _files.Add(new(section, _currentPath!));
    }

    private void Save()
    {
        var header = new ByteWriter();
        Header!.Write(header);
        var state = new ByteWriter();
        state.WriteByte(Version);
        state.WriteBytes(header.WrittenSpan);
        state.WritePosition(Session);
        state.WriteByte((byte)Section);
        state.WriteBytes(After.Span);
        state.WriteVarint(_files.Count);
        foreach (var file in _files)
        {
            state.WriteByte((byte)file.Section);
        }

        ChainHash.DigestOf(state.WrittenSpan).Write(state.Reserve(ChainHash.SizeBytes));
        DirectorySync.Flush(_directory);
        DurableFile.Replace(StatePath, state.WrittenSpan);
    }

    private void Parse(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < ChainHash.SizeBytes || ChainHash.DigestOf(bytes[..^ChainHash.SizeBytes]) != ChainHash.Read(bytes[^ChainHash.SizeBytes..]))
        {
            throw new MalformedDataException("It does not fit its hash.");
        }

        var reader = new ByteReader(bytes[..^ChainHash.SizeBytes]);
        if (reader.ReadByte() != Version)
        {
            throw reader.Malformed("another version");
        }

        Header = SnapshotHeader.Read(reader.ReadBytes(MaxHeaderBytes, "the length of the header"));
        Session = reader.ReadPosition();
        Section = (SnapshotSection)reader.ReadByte();
        After = reader.ReadBytes(SnapshotBlock.MaxKeyBytes, "the length of the key").ToArray();
        var count = reader.ReadCount(MaxFiles, "the number of files");
        for (var i = 0; i < count; i++)
        {
            var section = (SnapshotSection)reader.ReadByte();
            _files.Add(new(section, Path.Combine(_directory, string.Create(CultureInfo.InvariantCulture, $"{(int)section}-{i:000000}.sst"))));
        }

        reader.ExpectEnd();
    }

    private static T Guarded<T>(string directory, Func<T> act)
    {
        try
        {
            return act();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StorageException(StorageFault.Io, $"Cannot use the directory '{directory}' of an incoming snapshot: {e.Message}", e);
        }
    }

    private void Abandon()
    {
        _current?.Dispose();
        _current = null;
    }

    /// <summary>Lets go of the files; what is durable of them stays.</summary>
    public void Dispose() => Abandon();
}
