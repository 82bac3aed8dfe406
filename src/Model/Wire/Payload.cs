using System.Buffers;
using Orleans.Serialization;
using Orleans.Serialization.Buffers;
using Orleans.Serialization.Cloning;
using Orleans.Serialization.Codecs;
using Orleans.Serialization.WireProtocol;

namespace Quicksilver.Model;

/// <summary>
/// Bytes in a grain call, without boxing, reference tracking or copies on local calls (a plain
/// <see cref="ReadOnlyMemory{T}"/> argument has all three). Whoever makes one gives the bytes away: they must never change
/// afterwards and their array must not go back to a pool.
/// </summary>
public readonly struct Payload(ReadOnlyMemory<byte> memory)
{
    public ReadOnlyMemory<byte> Memory { get; } = memory;

    public ReadOnlySpan<byte> Span => Memory.Span;

    public int Length => Memory.Length;
}

/// <summary>Wire form of <see cref="Payload"/>: one length-prefixed field.</summary>
[RegisterSerializer]
public sealed class PayloadCodec : IFieldCodec<Payload>
{
    public void WriteField<TBufferWriter>(ref Writer<TBufferWriter> writer, uint fieldIdDelta, Type? expectedType, Payload value)
        where TBufferWriter : IBufferWriter<byte>
    {
        ReferenceCodec.MarkValueField(writer.Session);
        writer.WriteFieldHeader(fieldIdDelta, expectedType!, typeof(Payload), WireType.LengthPrefixed);
        writer.WriteVarUInt32((uint)value.Length);
        writer.Write(value.Span);
    }

    public Payload ReadValue<TInput>(ref Reader<TInput> reader, Field field)
    {
        ReferenceCodec.MarkValueField(reader.Session);
        field.EnsureWireType(WireType.LengthPrefixed);
        var length = reader.ReadVarUInt32();
        if (length > Limits.MaxMessageBytes)
        {
            throw new MalformedDataException($"A payload claims {length} bytes; no message has more than {Limits.MaxMessageBytes}.");
        }

        return length == 0 ? default : new Payload(reader.ReadBytes(length));
    }
}

/// <summary>A payload is immutable, so a copy is itself.</summary>
[RegisterCopier]
public sealed class PayloadCopier : IDeepCopier<Payload>, IOptionalDeepCopier
{
    public Payload DeepCopy(Payload input, CopyContext context) => input;

    public bool IsShallowCopyable() => true;
}
