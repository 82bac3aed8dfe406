using System.Globalization;
using Quicksilver.Model;

namespace Quicksilver.Storage;

/// <summary>
/// The directory of one node, held for one process at a time. The lock is the operating system's, so it falls with the process
/// however that ends; the file itself may stay behind.
/// </summary>
public sealed class DataDirectory : IDisposable
{
    // What the operating system says of a lock that another process holds.
    private const int WouldBlockLinux = 11;
    private const int WouldBlockMac = 35;

    private const string FirstDatabase = "db";
    private const string QuarantineMark = "QUARANTINED";

    private readonly FileStream _lock;

    private DataDirectory(string path, FileStream @lock) => (Path, _lock) = (path, @lock);

    public string Path { get; }

    /// <summary>
    /// Where the database lies: <c>db</c>, or, once it was replaced, what the file <c>database</c> names.
    /// </summary>
    public string DatabasePath => System.IO.Path.Combine(Path, ReadDatabaseName());

    /// <summary>Where the next database may be built, to take the place of this one.</summary>
    internal string NextDatabasePath
    {
        get
        {
            var name = ReadDatabaseName();
            var number = name == FirstDatabase ? 1 : int.Parse(name.AsSpan(FirstDatabase.Length + 1), NumberStyles.None, CultureInfo.InvariantCulture);
            return System.IO.Path.Combine(Path, string.Create(CultureInfo.InvariantCulture, $"{FirstDatabase}-{number + 1}"));
        }
    }

    /// <summary>Where a snapshot is received.</summary>
    public string SnapshotPath => System.IO.Path.Combine(Path, "snapshot");

    private string PointerPath => System.IO.Path.Combine(Path, "database");

    /// <summary>Where the Raft log of a hub member lies.</summary>
    public string RaftPath => System.IO.Path.Combine(Path, "raft");

    /// <summary>
    /// There while a hub member is being made of a copy: until then the directory has nothing that is not elsewhere.
    /// </summary>
    public string JoiningMark => System.IO.Path.Combine(Path, "joining");

    private string ReadDatabaseName()
    {
        if (!File.Exists(PointerPath))
        {
            return FirstDatabase;
        }

        var name = File.ReadAllText(PointerPath).TrimEnd('\n');
        return IsDatabaseName(name) && name != FirstDatabase
            ? name
            : throw new StorageException(StorageFault.Corrupt, $"The file '{PointerPath}' says '{name}', which names no database.");
    }

    private static bool IsDatabaseName(string name) => name == FirstDatabase
        || (name.StartsWith(FirstDatabase + "-", StringComparison.Ordinal)
            && int.TryParse(name.AsSpan(FirstDatabase.Length + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number > 1);

    /// <summary>From here on the database is the next one. Durable on return. Throws <see cref="StorageException"/> (Io).</summary>
    internal void SwitchDatabase()
    {
        var next = System.IO.Path.GetFileName(NextDatabasePath);
        try
        {
            DurableFile.Replace(PointerPath, System.Text.Encoding.ASCII.GetBytes(next + "\n"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StorageException(StorageFault.Io, $"Cannot write the file '{PointerPath}': {e.Message}", e);
        }
    }

    /// <summary>Databases that were replaced, or never finished: nothing refers to them. What was given up as wrong is kept aside.</summary>
    private void DeleteOtherDatabases()
    {
        var current = DatabasePath;
        foreach (var other in Directory.GetDirectories(Path).Where(path => path != current && IsDatabaseName(System.IO.Path.GetFileName(path))))
        {
            Release(other);
        }
    }

    /// <summary>A database that is used no more and closed: deleted, or, where it was marked, moved aside. Throws what the file system throws.</summary>
    internal void Release(string database)
    {
        var mark = System.IO.Path.Combine(database, QuarantineMark);
        if (!File.Exists(mark))
        {
            Directory.Delete(database, recursive: true);
            return;
        }

        var aside = System.IO.Path.Combine(Path, $"quarantined-{File.ReadAllText(mark)}");
        if (!Directory.Exists(aside))
        {
            Directory.Move(database, aside);
        }
    }

    /// <summary>The database in use is wrong and will be replaced: it is kept, for whoever wants to know why. Durable on return.</summary>
    internal void MarkQuarantined(DateTimeOffset now)
    {
        var mark = System.IO.Path.Combine(DatabasePath, QuarantineMark);
        try
        {
            DurableFile.Replace(mark, System.Text.Encoding.ASCII.GetBytes(now.UtcDateTime.ToString("yyyyMMdd'T'HHmmssfff", CultureInfo.InvariantCulture)));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StorageException(StorageFault.Io, $"Cannot write the file '{mark}': {e.Message}", e);
        }
    }

    /// <summary>Creates the directory where needed and takes it. Throws <see cref="StorageException"/> (InUse, Io).</summary>
    public static DataDirectory Take(string path)
    {
        path = System.IO.Path.GetFullPath(path);
        try
        {
            Directory.CreateDirectory(path);
            var directory = new DataDirectory(path, new FileStream(
                System.IO.Path.Combine(path, "node.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 1));
            try
            {
                directory.DeleteOtherDatabases();
                return directory;
            }
            catch
            {
                directory.Dispose();
                throw;
            }
        }
        catch (IOException e) when (e.GetType() == typeof(IOException) && e.HResult is WouldBlockLinux or WouldBlockMac)
        {
            throw new StorageException(StorageFault.InUse, $"The data directory '{path}' is in use by another process. Stop that process, or give this node a directory of its own (Quicksilver:DataDirectory).", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StorageException(StorageFault.Io, $"Cannot use the data directory '{path}' (Quicksilver:DataDirectory): {e.Message}", e);
        }
    }

    /// <summary>
    /// Moves what the directory holds into one within it, so that the node begins with nothing; returns its path. What is only the
    /// beginning of a copy is deleted, and null returned. Nothing may be open.
    /// The Raft log goes first: a crash in between leaves state without votes, which is found out, and never votes without state.
    /// </summary>
    public string? SetAside(DateTimeOffset now)
    {
        var parts = new[] { RaftPath, DatabasePath }.Where(Directory.Exists).ToList();
        var aside = System.IO.Path.Combine(Path, $"set-aside-{now.UtcDateTime.ToString("yyyyMMdd'T'HHmmssfff", CultureInfo.InvariantCulture)}");
        try
        {
            var isCopy = File.Exists(JoiningMark);
            if (isCopy)
            {
                parts.ForEach(part => Directory.Delete(part, recursive: true));
            }
            else
            {
                Directory.CreateDirectory(aside);
                parts.ForEach(part => Directory.Move(part, System.IO.Path.Combine(aside, System.IO.Path.GetFileName(part))));
            }

            if (Directory.Exists(SnapshotPath))
            {
                Directory.Delete(SnapshotPath, recursive: true);
            }

            File.Delete(PointerPath);
            return isCopy ? null : aside;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StorageException(StorageFault.Io, $"Cannot set the data in '{Path}' aside: {e.Message}", e);
        }
    }

    public void Dispose() => _lock.Dispose();
}

/// <summary>Whose data a directory holds. Written once.</summary>
internal static class Identity
{
    private const byte Version = 1;

    public static byte[] Write(NodeId node)
    {
        var writer = new ByteWriter(80);
        writer.WriteByte(Version);
        writer.WriteBytes(System.Text.Encoding.ASCII.GetBytes(node.Value));
        return writer.ToArray();
    }

    public static NodeId Read(ReadOnlySpan<byte> row)
    {
        var reader = new ByteReader(row);
        if (reader.ReadByte() is var version and not Version)
        {
            throw new StorageException(StorageFault.Foreign, $"The data directory has identity version {version}; this build reads {Version}. Use the build that wrote it.");
        }

        var name = System.Text.Encoding.ASCII.GetString(reader.ReadBytes(64, "the name's length"));
        reader.ExpectEnd();
        return NodeId.TryParse(name, out var node) ? node : throw reader.Malformed("the name of the node is none");
    }
}
