using System.Runtime.InteropServices;
using System.Text;
using Quicksilver.Model;
using RocksDbSharp;

namespace Quicksilver.Storage.Native;

/// <summary>
/// One RocksDB database with the column families of a node. Reads and writes may come from any thread; who writes the same rows sees to the order.
/// Reference-counted: it closes when its owner and every View let go, because closing it under a reader would crash.
/// </summary>
internal sealed class Database
{
    private const int Levels = 7;

    /// <summary>Prefix deletes and deletes of keyspaces after which the memtable of <c>data</c> is written out.</summary>
    private const int MaxMemtableRanges = 1_000;

    private static readonly string[] Names = ["default", "meta", "data", "log", "keyspaceLog", "expiry", "raft"];

    private readonly IntPtr _handle;
    private readonly IntPtr[] _families;
    private readonly uint[] _familyIds;
    private readonly IntPtr _writeOptions;
    private readonly List<Action> _release;
    private int _references = 1;

    private Database(string path, IntPtr handle, IntPtr[] families, List<Action> release, int hotRows)
    {
        Hot = new(hotRows);
        Path = path;
        _handle = handle;
        _families = families;
        _familyIds = [.. families.Select(NativeCall.Api.rocksdb_column_family_handle_get_id)];
        _release = release;

        // Invariant: the write-ahead log is always on and never synced per write. Several column families without it recover
        // torn; a synced one would add a flush per batch where the Raft log or the upstream already holds the data.
        _writeOptions = NativeCall.Api.rocksdb_writeoptions_create();
    }

    /// <summary>Its directory.</summary>
    public string Path { get; }

    public IntPtr Handle => _handle;

    /// <summary>The rows that are read most.</summary>
    public HotRows Hot { get; }

    /// <summary>What Views still see of the change log.</summary>
    public LogHolds LogHolds { get; } = new();

    /// <summary>The beginning of the change log that is known to be on disk. For the one who cuts.</summary>
    public Revision DurableCut { get; set; } = Revision.None.Next;

    public IntPtr Family(ColumnFamily family) => _families[(int)family];

    public uint FamilyId(ColumnFamily family) => _familyIds[(int)family];

    /// <summary>Opens or creates. Throws <see cref="StorageException"/>; nothing stays open then.</summary>
    public static Database Open(string path, long blockCacheBytes, int hotRows = 0)
    {
        var api = NativeCall.Api;
        var release = new List<Action>();
        var cache = api.rocksdb_cache_create_hyper_clock((UIntPtr)blockCacheBytes, UIntPtr.Zero);
        release.Add(() => api.rocksdb_cache_destroy(cache));

        var options = api.rocksdb_options_create();
        release.Add(() => api.rocksdb_options_destroy(options));
        api.rocksdb_options_set_create_if_missing(options, 1);
        api.rocksdb_options_set_create_missing_column_families(options, 1);
        api.rocksdb_options_set_paranoid_checks(options, 1);
        api.rocksdb_options_set_max_open_files(options, -1);
        api.rocksdb_options_set_max_background_jobs(options, 2);
        api.rocksdb_options_set_keep_log_file_num(options, (UIntPtr)2);
        api.rocksdb_options_set_info_log_level(options, 2);

        // When it is reached every family is flushed, however little it has: with 64 MiB that was every five seconds at full rate. It is
        // also what a start may have to replay.
        api.rocksdb_options_set_max_total_wal_size(options, 128UL << 20);
        api.rocksdb_options_set_recycle_log_file_num(options, (UIntPtr)8);

        // A prefix of what was written: the position is in the same batch as the data, so a replica fetches what is missing. A hub
        // member's Raft log is in the same sequence, and DurableMark says whether it is too short: a torn last write or a loss.
        api.rocksdb_options_set_wal_recovery_mode(options, Recovery.PointInTime);

        var familyOptions = new IntPtr[Names.Length];
        for (var i = 0; i < Names.Length; i++)
        {
            familyOptions[i] = FamilyOptions((ColumnFamily)i, cache, release);
        }

        var handles = new IntPtr[Names.Length];
        var db = api.rocksdb_open_column_families(options, path, Names.Length, Names, familyOptions, handles, out var error);
        if (error != IntPtr.Zero)
        {
            Release(release);
            NativeCall.Check(error, $"Cannot open the database in '{path}'");
        }

        return new(path, db, handles, release, hotRows);
    }

    /// <param name="cache">For uncompressed blocks; zero where nothing is read.</param>
    internal static IntPtr FamilyOptions(ColumnFamily family, IntPtr cache, List<Action> release)
    {
        var api = NativeCall.Api;
        var options = api.rocksdb_options_create();
        release.Add(() => api.rocksdb_options_destroy(options));
        var table = api.rocksdb_block_based_options_create();
        release.Add(() => api.rocksdb_block_based_options_destroy(table));

        api.rocksdb_block_based_options_set_format_version(table, 6);
        if (cache != IntPtr.Zero)
        {
            api.rocksdb_block_based_options_set_block_cache(table, cache);
        }

        api.rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 0);
        api.rocksdb_block_based_options_set_block_size(table, (UIntPtr)(16 << 10));

        SetCompaction(options, family, release);

        // A small memtable keeps the skip list of `data` inside the processor's cache: measured a fifth of the write rate.
        api.rocksdb_options_set_write_buffer_size(options, (UIntPtr)(family is ColumnFamily.Log or ColumnFamily.Raft ? 32 << 20 : 8 << 20));
        api.rocksdb_options_set_max_write_buffer_number(options, 4);
        if (family == ColumnFamily.Data)
        {
            // Every read looks through the ranges of the memtable, and each new one has them sorted again. In tables they are cheap.
            api.rocksdb_options_set_memtable_max_range_deletions(options, MaxMemtableRanges);
            api.rocksdb_block_based_options_set_data_block_index_type(table, 1);

            // The hash leads to a run of so many keys. With the default of 16 a get is a tenth slower; with 1 blocks are a tenth larger for 3 %.
            api.rocksdb_block_based_options_set_block_restart_interval(table, 4);
            api.rocksdb_block_based_options_set_data_block_hash_ratio(table, 0.75);
            api.rocksdb_block_based_options_set_filter_policy(table, api.rocksdb_filterpolicy_create_bloom_full(10));
        }

        api.rocksdb_options_set_block_based_table_factory(options, table);
        return options;
    }

    private static void SetCompaction(IntPtr options, ColumnFamily family, List<Action> release)
    {
        var api = NativeCall.Api;
        switch (family)
        {
            case ColumnFamily.Raft:
                // Entries are deleted soon after they reach a table file, if they ever do: to compress or to merge them is work for
                // nothing (a quarter of the processor at full rate). Files go when there are more than can be needed.
                api.rocksdb_options_set_compression(options, Compression.No);
                api.rocksdb_options_set_compaction_style(options, Compaction.Fifo);
                var fifo = api.rocksdb_fifo_compaction_options_create();
                release.Add(() => api.rocksdb_fifo_compaction_options_destroy(fifo));
                api.rocksdb_fifo_compaction_options_set_max_table_files_size(fifo, RaftLogStore.MaxTableBytes);
                api.rocksdb_options_set_fifo_compaction_options(options, fifo);

                // By default files also go at an age of 30 days, needed or not: a hub that rests never cuts its log.
                api.rocksdb_options_set_ttl(options, 0);
                break;
            case ColumnFamily.Log or ColumnFamily.KeyspaceLog:
                // Rows come in order: a table file is moved down as it is, and not written again.
                api.rocksdb_options_set_compression(options, Compression.Zstd);
                api.rocksdb_options_set_compaction_style(options, Compaction.Universal);
                var universal = api.rocksdb_universal_compaction_options_create();
                release.Add(() => api.rocksdb_universal_compaction_options_destroy(universal));
                api.rocksdb_universal_compaction_options_set_allow_trivial_move(universal, 1);
                api.rocksdb_options_set_universal_compaction_options(options, universal);

                // Nor for its age: the default is to write all of it again every 30 days. Here the two options mean the same.
                api.rocksdb_options_set_ttl(options, 0);
                api.rocksdb_options_set_periodic_compaction_seconds(options, 0);
                break;
            default:
                // What is written over soon is compressed fast, the rest well.
                api.rocksdb_options_set_num_levels(options, Levels);
                api.rocksdb_options_set_compression_per_level(options, [.. Enumerable.Range(0, Levels).Select(level => level < 2 ? Compression.Lz4 : Compression.Zstd)], (UIntPtr)Levels);
                break;
        }
    }

    /// <summary>Writes one batch, all or nothing, to the write-ahead log and the memtables. Not synced.</summary>
    public void Write(WriteBatchBuilder batch)
    {
        var rep = batch.Bytes;
        IntPtr native;
        unsafe
        {
            fixed (byte* bytes = rep)
            {
                native = NativeCall.Api.rocksdb_writebatch_create_from(bytes, (UIntPtr)rep.Length);
            }
        }

        NativeCall.Api.rocksdb_write(_handle, _writeOptions, native, out var error);
        NativeCall.Api.rocksdb_writebatch_destroy(native);
        NativeCall.Check(error, "Cannot write to the database");
    }

    /// <summary>Makes everything written before this call durable.</summary>
    public void SyncWal()
    {
        NativeCall.Api.rocksdb_flush_wal(_handle, 1, out var error);
        NativeCall.Check(error, "Cannot sync the database's write-ahead log");
    }

    /// <summary>Writes all memtables to table files.</summary>
    public void Flush()
    {
        var options = NativeCall.Api.rocksdb_flushoptions_create();
        NativeCall.Api.rocksdb_flushoptions_set_wait(options, 1);
        NativeCall.Api.rocksdb_flush_cfs(_handle, options, _families, _families.Length, out var error);
        NativeCall.Api.rocksdb_flushoptions_destroy(options);
        NativeCall.Check(error, "Cannot flush the database");
    }

    /// <summary>
    /// Takes in table files that were written aside, in the order of their keys. They stay where they are, under a second name where the
    /// file system can. Durable on return.
    /// </summary>
    public void Ingest(ColumnFamily family, string[] paths)
    {
        var options = NativeCall.Api.rocksdb_ingestexternalfileoptions_create();
        NativeCall.Api.rocksdb_ingestexternalfileoptions_set_link_files(options, 1);
        NativeCall.Api.rocksdb_ingestexternalfileoptions_set_verify_checksums_before_ingest(options, 1);
        NativeCall.Api.rocksdb_ingest_external_file_cf(_handle, Family(family), paths, (UIntPtr)paths.Length, options, out var error);
        NativeCall.Api.rocksdb_ingestexternalfileoptions_destroy(options);
        NativeCall.Check(error, "Cannot take in the files of a snapshot");
    }

    /// <summary>Called when the database has closed.</summary>
    public void OnClosed(Action action) => _release.Insert(0, action);

    /// <summary>
    /// Deletes the table files that have nothing but keys up to <paramref name="last"/>, whoever could still see them. A file with later
    /// keys as well stays, and so does one of the youngest level.
    /// </summary>
    public unsafe void DeleteFilesUpTo(ColumnFamily family, ReadOnlySpan<byte> last)
    {
        fixed (byte* limit = last)
        {
            byte* start = null;
            NativeCall.Api.rocksdb_delete_file_in_range_cf(_handle, Family(family), start, UIntPtr.Zero, limit, (UIntPtr)last.Length, out var error);
            NativeCall.Check(error, "Cannot delete table files");
        }
    }

    /// <summary>About how many bytes of tables the keys from <paramref name="start"/> on, and before <paramref name="end"/>, take.</summary>
    public unsafe long ApproximateBytes(ColumnFamily family, ReadOnlySpan<byte> start, ReadOnlySpan<byte> end)
    {
        fixed (byte* first = start)
        fixed (byte* limit = end)
        {
            var (starts, startLength) = ((IntPtr)first, (UIntPtr)start.Length);
            var (ends, endLength) = ((IntPtr)limit, (UIntPtr)end.Length);
            ulong size = 0;
            NativeCall.Api.rocksdb_approximate_sizes_cf(
                _handle, Family(family), 1, (IntPtr)(&starts), (IntPtr)(&startLength), (IntPtr)(&ends), (IntPtr)(&endLength), (IntPtr)(&size), out var error);
            NativeCall.Check(error, "Cannot measure the database");
            return (long)size;
        }
    }

    /// <summary>A property of RocksDB as a number; 0 where it has none.</summary>
    public ulong Property(ColumnFamily family, string name)
    {
        unsafe
        {
            ulong value = 0;
            _ = NativeCall.Api.rocksdb_property_int_cf(_handle, Family(family), name, (IntPtr)(&value));
            return value;
        }
    }

    public void AddReference() => Interlocked.Increment(ref _references);

    public void ReleaseReference()
    {
        if (Interlocked.Decrement(ref _references) != 0)
        {
            return;
        }

        var api = NativeCall.Api;
        api.rocksdb_cancel_all_background_work(_handle, 1);
        foreach (var family in _families)
        {
            api.rocksdb_column_family_handle_destroy(family);
        }

        api.rocksdb_close(_handle);
        api.rocksdb_writeoptions_destroy(_writeOptions);
        Release(_release);
    }

    private static void Release(List<Action> actions)
    {
        for (var i = actions.Count - 1; i >= 0; i--)
        {
            actions[i]();
        }
    }
}
