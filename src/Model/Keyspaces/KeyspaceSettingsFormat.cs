namespace Quicksilver.Model;

/// <summary>Binary form of keyspace settings, in commands and in catalog rows: version, shard count, switches.</summary>
public static class KeyspaceSettingsFormat
{
    private const byte Version = 1;

    public static void Write(ByteWriter writer, KeyspaceSettings settings)
    {
        writer.WriteByte(Version);
        writer.WriteVarint(settings.ShardCount);
        writer.WriteByte(settings.SkipUnchanged ? (byte)1 : (byte)0);
    }

    public static KeyspaceSettings Read(ref ByteReader reader)
    {
        if (reader.ReadByte() is var version and not Version)
        {
            throw reader.Malformed($"keyspace settings have version {version}; this build reads {Version}");
        }

        var shards = reader.ReadCount(Limits.SlotCount, "the shard count");
        var switches = reader.ReadByte();
        if (shards == 0 || switches > 1)
        {
            throw reader.Malformed("keyspace settings are out of range");
        }

        return new() { ShardCount = shards, SkipUnchanged = switches == 1 };
    }
}
