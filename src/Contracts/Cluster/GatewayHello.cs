using System.Buffers;
using System.Text;
using Quicksilver.Model;

namespace Quicksilver.Contracts;

/// <summary>
/// What a gateway says of itself before any Orleans traffic: an Orleans client must know the cluster id before it can connect,
/// and a person who mistyped a port should hear "not a Quicksilver gateway" and not a time-out. The asker sends
/// <see cref="Request"/> on a new connection, the gateway answers with this block, and the asker closes. No Orleans connection
/// begins with these bytes, because it begins with a small length.
/// </summary>
/// <param name="OrleansClusterId">Orleans cluster id to connect with.</param>
/// <param name="OrleansServiceId">Orleans service id to connect with.</param>
/// <param name="Gateways">Gateways of the cluster, <c>host:port</c>, this one first; others may be missing.</param>
public sealed record GatewayHello(
    string OrleansClusterId, string OrleansServiceId, NodeId Node, RegionName Region, NodeRole Role, IReadOnlyList<string> Gateways)
{
    /// <summary>What the asker sends.</summary>
    public static ReadOnlySpan<byte> Request => "QSHELLO1"u8;

    /// <summary>Largest answer, bytes.</summary>
    public const int MaxBytes = 16 * 1024;

    /// <summary>Magic number, length, body. All text is UTF-8.</summary>
    public byte[] Encode()
    {
        var body = new ByteWriter();
        WriteText(body, OrleansClusterId);
        WriteText(body, OrleansServiceId);
        WriteText(body, Node.Value);
        WriteText(body, Region.Value);
        body.WriteByte((byte)Role);
        body.WriteVarint(Gateways.Count);
        foreach (var gateway in Gateways)
        {
            WriteText(body, gateway);
        }

        var frame = new ByteWriter(body.Length + 12);
        frame.WriteRaw(Request);
        frame.WriteUInt32((uint)body.Length);
        frame.WriteRaw(body.WrittenSpan);
        return frame.ToArray();
    }

    /// <summary>
    /// Reads an answer from what has arrived so far. NeedMoreData: read on. InvalidData: the other side is something else.
    /// </summary>
    public static OperationStatus TryDecode(ReadOnlySpan<byte> received, out GatewayHello? hello)
    {
        hello = null;
        var magic = Math.Min(received.Length, Request.Length);
        if (!received[..magic].SequenceEqual(Request[..magic]))
        {
            return OperationStatus.InvalidData;
        }

        if (received.Length < Request.Length + 4)
        {
            return OperationStatus.NeedMoreData;
        }

        try
        {
            var reader = new ByteReader(received);
            reader.Take(Request.Length);
            var length = reader.ReadUInt32();
            if (length > MaxBytes)
            {
                return OperationStatus.InvalidData;
            }

            if (reader.Remaining < length)
            {
                return OperationStatus.NeedMoreData;
            }

            reader = new(reader.Take((int)length));
            var cluster = ReadText(ref reader);
            var service = ReadText(ref reader);
            var node = ReadText(ref reader);
            var region = ReadText(ref reader);
            var role = (NodeRole)reader.ReadByte();
            var gateways = new string[reader.ReadCount(256, "the number of gateways")];
            for (var i = 0; i < gateways.Length; i++)
            {
                gateways[i] = ReadText(ref reader);
            }

            reader.ExpectEnd();
            if (role is not (NodeRole.Hub or NodeRole.Replica) || !NodeId.TryParse(node, out var nodeId) || !RegionName.TryParse(region, out var regionName))
            {
                return OperationStatus.InvalidData;
            }

            hello = new(cluster, service, nodeId, regionName, role, gateways);
            return OperationStatus.Done;
        }
        catch (MalformedDataException)
        {
            return OperationStatus.InvalidData;
        }
    }

    private static void WriteText(ByteWriter writer, string text) => writer.WriteBytes(Encoding.UTF8.GetBytes(text));

    private static string ReadText(ref ByteReader reader) => Encoding.UTF8.GetString(reader.ReadBytes(512, "a text's length"));
}
