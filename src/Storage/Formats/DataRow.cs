using Quicksilver.Model;

namespace Quicksilver.Storage;

/// <summary>
/// Binary form of a row of <c>data</c>: version, flags, revision, then expiry and metadata where the flags say so, then the
/// value to the end (docs/log-format.md, with golden files).
/// </summary>
public readonly ref struct DataRow
{
    public const byte Version = 1;
    private const byte HasMetadata = 1;
    private const byte HasExpiry = 2;

    private DataRow(Revision revision, LogTime expiresAt, ReadOnlySpan<byte> metadata, ReadOnlySpan<byte> value)
    {
        Revision = revision;
        ExpiresAt = expiresAt;
        Metadata = metadata;
        Value = value;
    }

    /// <summary>The revision that last changed the key.</summary>
    public Revision Revision { get; }

    /// <summary>When the hub deletes the key; <see cref="LogTime.None"/> where it stays. Until the hub does, the row is there.</summary>
    public LogTime ExpiresAt { get; }

    public ReadOnlySpan<byte> Metadata { get; }

    public ReadOnlySpan<byte> Value { get; }

    internal static int SizeOf(LogTime expiresAt, ReadOnlySpan<byte> metadata, ReadOnlySpan<byte> value) =>
        2 + 8 + (expiresAt == LogTime.None ? 0 : 8) + (metadata.IsEmpty ? 0 : 2 + metadata.Length) + value.Length;

    internal static void Write(ByteWriter writer, Revision revision, LogTime expiresAt, ReadOnlySpan<byte> metadata, ReadOnlySpan<byte> value)
    {
        writer.WriteByte(Version);
        writer.WriteByte((byte)((metadata.IsEmpty ? 0 : HasMetadata) | (expiresAt == LogTime.None ? 0 : HasExpiry)));
        writer.WritePosition(revision.Value);
        if (expiresAt != LogTime.None)
        {
            writer.WritePosition(expiresAt.Value);
        }

        if (!metadata.IsEmpty)
        {
            writer.WriteUInt16((ushort)metadata.Length);
            writer.WriteRaw(metadata);
        }

        writer.WriteRaw(value);
    }

    /// <summary>Reads a row; damage is <see cref="StorageFault.Corrupt"/>, never a wrong value.</summary>
    public static DataRow Parse(ReadOnlySpan<byte> row)
    {
        try
        {
            var reader = new ByteReader(row);
            var version = reader.ReadByte();
            var flags = reader.ReadByte();
            if (version != Version || (flags & ~(HasMetadata | HasExpiry)) != 0)
            {
                throw reader.Malformed($"a row has version {version} and flags {flags}; this build reads version {Version}");
            }

            var revision = new Revision(reader.ReadPosition());
            var expiresAt = (flags & HasExpiry) != 0 ? new LogTime(reader.ReadPosition()) : LogTime.None;

            ReadOnlySpan<byte> metadata = default;
            if ((flags & HasMetadata) != 0)
            {
                metadata = reader.Take(reader.ReadUInt16());
            }

            return new(revision, expiresAt, metadata, row[reader.Offset..]);
        }
        catch (MalformedDataException e)
        {
            throw new StorageException(StorageFault.Corrupt, $"A row of the data is damaged. {e.Message}", e);
        }
    }
}
