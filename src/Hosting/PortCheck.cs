using System.Net;
using System.Net.Sockets;

namespace Quicksilver.Hosting;

/// <summary>A port that this node needs is taken.</summary>
public sealed class PortInUseException(string setting, IPEndPoint endpoint, SocketError error)
    : Exception(error == SocketError.AddressAlreadyInUse
        ? $"Port {endpoint.Port} on {endpoint.Address} is in use ({setting}). Stop what uses it, or choose another port."
        : $"Cannot listen on {endpoint} ({setting}): {error}.");

/// <summary>
/// Looks at all ports before anything starts. Orleans' listeners allow reuse, so a second silo on the same port would start
/// without any error and take half of the connections of the first.
/// </summary>
internal static class PortCheck
{
    public static void Require(IEnumerable<(string Setting, IPEndPoint Endpoint)> ports)
    {
        foreach (var (setting, endpoint) in ports)
        {
            using var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                socket.Bind(endpoint);
                socket.Listen(1);
            }
            catch (SocketException e)
            {
                throw new PortInUseException(setting, endpoint, e.SocketErrorCode);
            }
        }
    }
}
