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
        // All are held until the last was tried, so that one port for two uses is found as well.
        var held = new List<Socket>();
        try
        {
            foreach (var (setting, endpoint) in ports)
            {
                var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
                held.Add(socket);
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
        finally
        {
            held.ForEach(socket => socket.Dispose());
        }
    }
}
