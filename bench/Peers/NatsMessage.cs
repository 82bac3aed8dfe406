using System.Text;

namespace Quicksilver.Peers;

/// <summary>What a nats-server sent.</summary>
/// <param name="Status">The number in its headers, such as 404 for no message and 503 for nobody who answers; 0 where there is none.</param>
internal readonly record struct NatsMessage(int Status, byte[] Payload)
{
    public string Text => Encoding.ASCII.GetString(Payload);

    /// <summary>An answer of JetStream that says what went wrong. Only where the payload is none of this program's values.</summary>
    public bool IsError => Status != 0 || Payload.AsSpan().IndexOf("\"error\""u8) >= 0;
}
