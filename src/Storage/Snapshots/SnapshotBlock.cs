using Quicksilver.Model;
using Quicksilver.Storage.Native;

namespace Quicksilver.Storage;

/// <summary>
/// A block of a snapshot: some rows of one section in key order, with what was asked for and a hash over all of it
/// (docs/snapshot-format.md). Source and child use the same code.
/// </summary>
public static class SnapshotBlock
{
    private const byte Version = 1;

    /// <summary>Longest key of any section: that of a row which expires.</summary>
    public const int MaxKeyBytes = StorageKeys.ExpiryHeadBytes + Limits.MaxKeyBytes;

    /// <summary>Longest value of any section: a record.</summary>
    internal const int MaxValueBytes = RecordFormat.MaxBytes;

    /// <summary>Takes one row of a block.</summary>
    public delegate void RowHandler(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value);

    /// <summary>Takes one row, or says that the block is full.</summary>
    internal delegate bool RowTaker(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value);

    /// <summary>
    /// Reads a block from a View: rows of the section after a key, about <paramref name="maxBytes"/> of them and at least one where
    /// there is any. Records are checked against the chain before they leave. Throws <see cref="StorageException"/> (Corrupt).
    /// </summary>
    /// <param name="selection">Null for a snapshot of everything.</param>
    public static ByteWriter Read(View view, SnapshotSection section, ReadOnlySpan<byte> after, int maxBytes, SnapshotSelection? selection = null)
    {
        var rows = new ByteWriter(Math.Min(maxBytes, 256 * 1024));
        var count = 0;
        bool Take(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
        {
            if (count > 0 && rows.Length + key.Length + value.Length > maxBytes)
            {
                return false;
            }

            rows.WriteBytes(key);
            rows.WriteBytes(value);
            count++;
            return true;
        }

        var isLast = selection?.Read(view, section, after, Take) ?? ReadAll(view, section, after, Take);
        var block = new ByteWriter(rows.Length + after.Length + 64);
        block.WriteByte(Version);
        block.WriteByte((byte)section);
        block.WriteBytes(after);
        block.WriteByte(isLast ? (byte)1 : (byte)0);
        block.WriteVarint(count);
        block.WriteRaw(rows.WrittenSpan);
        ChainHash.DigestOf(block.WrittenSpan).Write(block.Reserve(ChainHash.SizeBytes));
        return block;
    }

    private static bool ReadAll(View view, SnapshotSection section, ReadOnlySpan<byte> after, RowTaker take)
    {
        ChainHash? chain = null;
        using var iterator = new DbIterator(view.Database, view.ReadOptions, SnapshotSections.FamilyOf(section));
        Span<byte> start = stackalloc byte[MaxKeyBytes + 1];
        var prefix = SnapshotSections.PrefixOf(section);
        if (after.IsEmpty)
        {
            SnapshotSections.WriteFirst(view, section, start, out var length);
            start = start[..length];
        }
        else
        {
            // The least key above: the same with a zero behind.
            after.CopyTo(start);
            start[after.Length] = 0;
            start = start[..(after.Length + 1)];
        }

        for (var more = iterator.Seek(start); more && iterator.Key.StartsWith(prefix); more = iterator.Next())
        {
            if (section == SnapshotSection.Records)
            {
                chain = CheckRecord(view, iterator.Key, iterator.Value, chain);
            }

            if (!take(iterator.Key, iterator.Value))
            {
                return false;
            }
        }

        return true;
    }

    private static ChainHash? CheckRecord(View view, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, ChainHash? before)
    {
        var revision = StorageKeys.ReadRevision(key);
        var record = Undamaged.Read(value, bytes =>
        {
            var view = RecordView.Parse(bytes);
            return (view.Header.Revision, Digest: view.ComputeDigest(), view.LogChain);
        }, $"revision {revision}");

        // Where there is none before it, a record is missing.
        before ??= view.FindChain(new(revision.Value - 1));
        if (record.Revision != revision || before is not { } chain || chain.Append(record.Digest) != record.LogChain)
        {
            throw new StorageException(StorageFault.Corrupt, $"The change-log record of revision {revision} does not fit the chain: it is damaged.");
        }

        return record.LogChain;
    }

    /// <summary>
    /// Hands the rows of a block on; returns the last key (null where there is no row) and whether the section ends with it. Throws
    /// <see cref="MalformedDataException"/> where the block is not the answer to this question, or damaged: nothing was handed on then.
    /// </summary>
    public static (byte[]? LastKey, bool IsLast) Parse(ReadOnlySpan<byte> block, SnapshotSection section, ReadOnlySpan<byte> after, RowHandler? onRow)
    {
        if (block.Length < ChainHash.SizeBytes || ChainHash.DigestOf(block[..^ChainHash.SizeBytes]) != ChainHash.Read(block[^ChainHash.SizeBytes..]))
        {
            throw new MalformedDataException("A block of a snapshot does not fit its hash: it was damaged on its way.");
        }

        var reader = new ByteReader(block[..^ChainHash.SizeBytes]);
        if (reader.ReadByte() is var version and not Version)
        {
            throw reader.Malformed($"a block of a snapshot has version {version}; this build reads {Version}");
        }

        if (reader.ReadByte() != (byte)section || !reader.ReadBytes(MaxKeyBytes, "the key before the block").SequenceEqual(after))
        {
            throw reader.Malformed("a block of a snapshot is not the one that was asked for");
        }

        var isLast = reader.ReadByte() switch { 0 => false, 1 => true, _ => throw reader.Malformed("the end mark of a block is none") };
        var count = reader.ReadCount(int.MaxValue, "the number of rows");
        if (count == 0 && !isLast)
        {
            throw reader.Malformed("a block of a part that goes on has no row");
        }

        // All of it before any of it: what is wrong at the end must not leave rows behind.
        var rows = reader;
        var last = Walk(ref reader, section, after, count, null);
        reader.ExpectEnd();
        if (onRow is not null)
        {
            Walk(ref rows, section, after, count, onRow);
        }

        return (last, isLast);
    }

    private static byte[]? Walk(ref ByteReader reader, SnapshotSection section, ReadOnlySpan<byte> after, int count, RowHandler? onRow)
    {
        var previous = after;
        for (var i = 0; i < count; i++)
        {
            var key = reader.ReadBytes(MaxKeyBytes, "the length of a key");
            var value = reader.ReadBytes(MaxValueBytes, "the length of a row");
            if (previous.SequenceCompareTo(key) >= 0)
            {
                throw reader.Malformed("the keys of a block are not in order");
            }

            SnapshotSections.Require(section, key, value);
            onRow?.Invoke(key, value);
            previous = key;
        }

        return count > 0 ? previous.ToArray() : null;
    }
}

/// <summary>Where the rows of a section are in the database.</summary>
internal static class SnapshotSections
{
    public static ColumnFamily FamilyOf(SnapshotSection section) => section switch
    {
        SnapshotSection.Rows => ColumnFamily.Data,
        SnapshotSection.KeyspaceStates => ColumnFamily.Meta,
        SnapshotSection.Records => ColumnFamily.Log,
        SnapshotSection.KeyspaceLog => ColumnFamily.KeyspaceLog,
        SnapshotSection.KeyspaceCuts => ColumnFamily.Meta,
        SnapshotSection.Expiries => ColumnFamily.Expiry,
        _ => throw new MalformedDataException($"A snapshot has no part {(int)section}."),
    };

    /// <summary>What the keys of a section begin with: it shares its family with others.</summary>
    public static ReadOnlySpan<byte> PrefixOf(SnapshotSection section) => section switch
    {
        SnapshotSection.KeyspaceStates => StorageKeys.KeyspaceStatePrefix,
        SnapshotSection.KeyspaceCuts => StorageKeys.KeyspaceCutPrefix,
        _ => default,
    };

    /// <summary>
    /// Whoever reads such a row later takes its shape for granted. Throws <see cref="MalformedDataException"/>: it is another's damage, not this
    /// store's.
    /// </summary>
    public static void Require(SnapshotSection section, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
    {
        var fits = key.StartsWith(PrefixOf(section)) && section switch
        {
            SnapshotSection.Rows => key.Length is > StorageKeys.KeyspaceBytes and <= StorageKeys.KeyspaceBytes + Limits.MaxKeyBytes,
            SnapshotSection.KeyspaceStates or SnapshotSection.KeyspaceCuts => key.Length == StorageKeys.KeyspaceCutBytes,
            SnapshotSection.Records => key.Length == StorageKeys.RevisionBytes,
            SnapshotSection.KeyspaceLog => key.Length == StorageKeys.KeyspaceLogBytes && value.Length == StorageKeys.RevisionBytes,
            _ => key.Length > StorageKeys.ExpiryHeadBytes && value.IsEmpty,
        };
        if (!fits)
        {
            throw new MalformedDataException($"A row of part {(int)section} of a snapshot has a key of {key.Length} and a value of {value.Length} bytes.");
        }

        try
        {
            switch (section)
            {
                case SnapshotSection.Rows:
                    DataRow.Parse(value);
                    break;
                case SnapshotSection.KeyspaceStates:
                    KeyspaceState.Read(default, value);
                    break;
                case SnapshotSection.KeyspaceCuts:
                    KeyspaceCut.Read(value);
                    break;
            }
        }
        catch (Exception e) when (e is StorageException or FormatException or ArgumentException)
        {
            throw new MalformedDataException($"A row of part {(int)section} of a snapshot is damaged: {e.Message}");
        }
    }

    /// <summary>The least key of a section at a View: what is before may be on disk still, and is not of it.</summary>
    public static void WriteFirst(View view, SnapshotSection section, Span<byte> destination, out int length)
    {
        if (section == SnapshotSection.Records)
        {
            StorageKeys.WriteRevision(destination, view.Progress.Oldest);
            length = StorageKeys.RevisionBytes;
            return;
        }

        PrefixOf(section).CopyTo(destination);
        length = PrefixOf(section).Length;
    }
}
