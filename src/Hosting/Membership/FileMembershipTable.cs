using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.Extensions.Options;
using Microsoft.Win32.SafeHandles;
using Orleans.Configuration;
using Orleans.Runtime;

namespace Quicksilver.Hosting.Membership;

/// <summary>Where the silos of one cluster, all on one machine, keep their membership.</summary>
public sealed class FileMembershipOptions
{
    /// <summary>A directory on a local disk that every silo of the cluster can write. Network file systems are not supported.</summary>
    public string Directory { get; set; } = "";

    /// <summary>How long an operation waits for the lock before it fails. Orleans retries failed operations by itself.</summary>
    public TimeSpan LockTimeout { get; set; } = TimeSpan.FromSeconds(5);
}

/// <summary>
/// An Orleans membership table in one JSON file, shared by the silo processes of one machine.
/// </summary>
/// <remarks>
/// Writers take an exclusive lock on a file beside the table, read, check, and replace the table by a rename. Readers take no lock: a
/// rename shows them either the old table or the new one, never a mixture, and so a stopped writer cannot stall the failure detector.
/// The operating system drops the lock with its owner, even after <c>kill -9</c>, which may leave only a temporary file that the next
/// writer overwrites.
/// </remarks>
internal sealed class FileMembershipTable : IMembershipTable, IDisposable
{
    private const int Format = 1;

    private static readonly TimeSpan ShortestRetry = TimeSpan.FromMilliseconds(2);
    private static readonly TimeSpan LongestRetry = TimeSpan.FromMilliseconds(50);

    private readonly string _clusterId;
    private readonly string _directory;
    private readonly string _tablePath;
    private readonly string _temporaryPath;
    private readonly string _lockPath;
    private readonly TimeSpan _lockTimeout;
    private readonly TimeProvider _time;

    // Queues the writers of this process, so that they do not poll against each other for the file lock.
    private readonly SemaphoreSlim _writers = new(1, 1);

    public FileMembershipTable(IOptions<FileMembershipOptions> options, IOptions<ClusterOptions> cluster, TimeProvider time)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(options.Value.Directory);
        _clusterId = cluster.Value.ClusterId;
        _directory = Path.GetFullPath(options.Value.Directory);
        _tablePath = Path.Combine(_directory, "membership.json");
        _temporaryPath = Path.Combine(_directory, "membership.json.tmp");
        _lockPath = Path.Combine(_directory, "membership.lock");
        _lockTimeout = options.Value.LockTimeout;
        _time = time;
    }

    public void Dispose() => _writers.Dispose();

    public async Task InitializeMembershipTable(bool tryInitTableVersion)
    {
        Directory.CreateDirectory(_directory);
        if (tryInitTableVersion)
        {
            await ChangeAsync(static _ => true, createIfMissing: true).ConfigureAwait(false);
        }
        else
        {
            await ReadTableAsync().ConfigureAwait(false);
        }
    }

    public async Task<MembershipTableData> ReadRow(SiloAddress key)
    {
        var table = await ReadTableAsync().ConfigureAwait(false);
        return table.Find(key) is { } row
            ? new MembershipTableData(Tuple.Create(row.ToEntry(), row.ETag), table.ToVersion())
            : new MembershipTableData(table.ToVersion());
    }

    public async Task<MembershipTableData> ReadAll()
    {
        var table = await ReadTableAsync().ConfigureAwait(false);
        return new MembershipTableData([.. table.Rows.Select(static row => Tuple.Create(row.ToEntry(), row.ETag))], table.ToVersion());
    }

    public Task<bool> InsertRow(MembershipEntry entry, TableVersion tableVersion) => ChangeAsync(table =>
    {
        if (table.VersionETag != tableVersion.VersionEtag || table.Find(entry.SiloAddress) is not null)
        {
            return false;
        }

        table.Rows.Add(MembershipRow.From(entry));
        table.Advance(tableVersion);
        return true;
    });

    public Task<bool> UpdateRow(MembershipEntry entry, string etag, TableVersion tableVersion) => ChangeAsync(table =>
    {
        if (table.VersionETag != tableVersion.VersionEtag || table.Find(entry.SiloAddress) is not { } row || row.ETag != etag)
        {
            return false;
        }

        table.Rows[table.Rows.IndexOf(row)] = MembershipRow.From(entry);
        table.Advance(tableVersion);
        return true;
    });

    // Orleans asks for a dirty write: one column, no version, no etag. The entry passed in has only its address and time set. A row that
    // is gone is not an error here: the silo learns from its next table read that it was declared dead.
    public Task UpdateIAmAlive(MembershipEntry entry) => ChangeAsync(table =>
    {
        if (table.Find(entry.SiloAddress) is not { } row)
        {
            return false;
        }

        row.IAmAliveTime = MembershipTime.AsUtc(entry.IAmAliveTime);
        return true;
    });

    public Task DeleteMembershipTableEntries(string clusterId) => clusterId != _clusterId
        ? Task.CompletedTask
        : ChangeAsync(static table =>
        {
            table.Rows.Clear();
            table.Advance(table.ToVersion().Next());
            return true;
        });

    // As in Orleans' own tables, the version stays: the rows removed are of silos that no one counts any more.
    public Task CleanupDefunctSiloEntries(DateTimeOffset beforeDate) => ChangeAsync(
        table => table.Rows.RemoveAll(row => row.Status != SiloStatus.Active && row.LastUpdate < beforeDate.UtcDateTime) > 0);

    /// <summary>Runs <paramref name="change"/> on the current table under the lock, and stores the result if it returns true.</summary>
    private async Task<bool> ChangeAsync(Func<MembershipTable, bool> change, bool createIfMissing = false)
    {
        var started = _time.GetTimestamp();
        if (!await _writers.WaitAsync(_lockTimeout).ConfigureAwait(false))
        {
            throw LockTimedOut();
        }

        try
        {
            using var fileLock = await LockAsync(started).ConfigureAwait(false);
            MembershipTable table;
            if (createIfMissing && !File.Exists(_tablePath))
            {
                table = new MembershipTable { Format = Format, ClusterId = _clusterId, VersionETag = MembershipTime.NewETag() };
            }
            else
            {
                table = await ReadTableAsync().ConfigureAwait(false);
                if (createIfMissing)
                {
                    return true;
                }
            }

            if (!change(table))
            {
                return false;
            }

            await WriteTableAsync(table).ConfigureAwait(false);
            return true;
        }
        finally
        {
            _writers.Release();
        }
    }

    // The lock is the open handle (flock on Unix, a share mode on Windows). The lock file is never deleted: another process could hold a
    // lock on the deleted file while a third one locks its successor.
    private async Task<SafeFileHandle> LockAsync(long started)
    {
        var delay = ShortestRetry;
        while (true)
        {
            try
            {
                return File.OpenHandle(_lockPath, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException e) when (IsSharingViolation(e))
            {
                if (_time.GetElapsedTime(started) >= _lockTimeout)
                {
                    throw LockTimedOut(e);
                }
            }

            // A random part keeps processes that collided once from colliding again.
            await Task.Delay(delay * (0.5 + (RandomNumberGenerator.GetInt32(1_000) / 1_000.0)), _time).ConfigureAwait(false);
            delay = delay * 2 < LongestRetry ? delay * 2 : LongestRetry;
        }
    }

    private async Task<MembershipTable> ReadTableAsync()
    {
        byte[] bytes;
        try
        {
            // Delete sharing lets a writer replace the file on Windows while it is being read.
            using var file = File.OpenHandle(
                _tablePath, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, FileOptions.Asynchronous);
            bytes = new byte[RandomAccess.GetLength(file)];
            var read = 0;
            while (read < bytes.Length)
            {
                var count = await RandomAccess.ReadAsync(file, bytes.AsMemory(read), read).ConfigureAwait(false);
                if (count == 0)
                {
                    throw new EndOfStreamException($"The membership table '{_tablePath}' was cut off while it was read.");
                }

                read += count;
            }
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            // An empty table would tell a running silo that it is dead, and a new one that it is alone.
            throw new InvalidOperationException(
                $"The membership table '{_tablePath}' does not exist. It was deleted while silos were running: stop all silos of cluster '{_clusterId}' and start them again.", e);
        }

        MembershipTable? table;
        try
        {
            table = JsonSerializer.Deserialize(bytes, MembershipJson.Default.MembershipTable);
        }
        catch (JsonException e)
        {
            throw new InvalidDataException(
                $"The membership table '{_tablePath}' is not readable. Stop all silos of cluster '{_clusterId}', delete the file, and start them again.", e);
        }

        if (table is not { Format: Format })
        {
            throw new InvalidDataException($"The membership table '{_tablePath}' has format {table?.Format.ToString(CultureInfo.InvariantCulture) ?? "null"}; this version reads format {Format}.");
        }

        if (table.ClusterId != _clusterId)
        {
            throw new InvalidOperationException(
                $"The membership table '{_tablePath}' belongs to cluster '{table.ClusterId}', but this silo belongs to cluster '{_clusterId}'. Give each cluster its own directory.");
        }

        return table;
    }

    private async Task WriteTableAsync(MembershipTable table)
    {
        var bytes = JsonSerializer.SerializeToUtf8Bytes(table, MembershipJson.Default.MembershipTable);

        // WriteThrough (O_SYNC) puts the bytes on disk before the rename and reports a failure as a failed write, so that a power cut
        // cannot leave an empty table behind. The rename itself need not be durable: a power cut also ends every silo of the old table.
        using (var file = File.OpenHandle(
            _temporaryPath, FileMode.Create, FileAccess.Write, FileShare.None, FileOptions.WriteThrough | FileOptions.Asynchronous))
        {
            await RandomAccess.WriteAsync(file, bytes, 0).ConfigureAwait(false);
        }

        File.Move(_temporaryPath, _tablePath, overwrite: true);
    }

    private TimeoutException LockTimedOut(Exception? inner = null) => new(
        $"The lock on the membership table, '{_lockPath}', was not free for {_lockTimeout.TotalSeconds:0.#} s. A process of cluster '{_clusterId}' holds it and does not continue (stopped in a debugger?).",
        inner);

    private static bool IsSharingViolation(IOException e) => OperatingSystem.IsWindows()
        ? (e.HResult & 0xFFFF) is 32 or 33                       // ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION
        : e.GetType() == typeof(IOException) && e.HResult is 11 or 35;  // EWOULDBLOCK on Linux and on macOS
}
