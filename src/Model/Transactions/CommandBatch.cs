namespace Quicksilver.Model;

/// <summary>
/// Several encoded commands in one block, as one grain call carries them: a count, then each command with its length in front.
/// </summary>
public static class CommandBatch
{
    /// <summary>Packs commands. The caller keeps the number and size within <see cref="Limits"/>.</summary>
    public static Payload Pack(IReadOnlyList<ReadOnlyMemory<byte>> commands)
    {
        var size = 10;
        foreach (var command in commands)
        {
            size += command.Length + 5;
        }

        var writer = new ByteWriter(size);
        writer.WriteVarint(commands.Count);
        foreach (var command in commands)
        {
            writer.WriteBytes(command.Span);
        }

        return new(writer.WrittenMemory);
    }

    /// <summary>How many commands a block says it has, 0 where not even that can be read or it is over the limit.</summary>
    public static int ReadCount(Payload block)
    {
        try
        {
            var reader = new ByteReader(block.Span);
            return reader.ReadCount(Limits.MaxCommandsPerBatch, "the number of commands");
        }
        catch (MalformedDataException)
        {
            return 0;
        }
    }

    /// <summary>
    /// The commands of a block, as slices of it. Throws <see cref="MalformedDataException"/> where the block is damaged, has
    /// more than <see cref="Limits.MaxCommandsPerBatch"/> commands, or one over <see cref="Limits.MaxTransactionBytes"/>.
    /// </summary>
    public static ReadOnlyMemory<byte>[] Unpack(Payload block)
    {
        var reader = new ByteReader(block.Span);
        var commands = new ReadOnlyMemory<byte>[reader.ReadCount(Math.Min(Limits.MaxCommandsPerBatch, Math.Max(0, reader.Remaining)), "the number of commands")];
        for (var i = 0; i < commands.Length; i++)
        {
            var length = reader.ReadCount(Limits.MaxTransactionBytes, "the command's length");
            commands[i] = block.Memory.Slice(reader.Offset, length <= reader.Remaining ? length : throw reader.Malformed("a command is cut off"));
            reader.Take(length);
        }

        reader.ExpectEnd();
        return commands;
    }
}
