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

    private DataRow(Revision revision, ReadOnlySpan<byte> metadata, ReadOnlySpan<byte> value)
    {
        Revision = revision;
        Metadata = metadata;
        Value = value;
    }

    /// <summary>The revision that last changed the key.</summary>
    public Revision Revision { get; }

    public ReadOnlySpan<byte> Metadata { get; }

    public ReadOnlySpan<byte> Value { get; }

    internal static int SizeOf(ReadOnlySpan<byte> metadata, ReadOnlySpan<byte> value) =>
        2 + 8 + (metadata.IsEmpty ? 0 : 2 + metadata.Length) + value.Length;

    internal static void Write(ByteWriter writer, Revision revision, ReadOnlySpan<byte> metadata, ReadOnlySpan<byte> value)
    {
        writer.WriteByte(Version);
        writer.WriteByte(metadata.IsEmpty ? (byte)0 : HasMetadata);
        writer.WritePosition(revision.Value);
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
            if ((flags & HasExpiry) != 0)
            {
                reader.ReadPosition();
            }

            ReadOnlySpan<byte> metadata = default;
            if ((flags & HasMetadata) != 0)
            {
                metadata = reader.Take(reader.ReadUInt16());
            }

            return new(revision, metadata, row[reader.Offset..]);
        }
        catch (MalformedDataException e)
        {
            throw new StorageException(StorageFault.Corrupt, $"A row of the data is damaged. {e.Message}", e);
        }
    }
}
