using System.Net;
using System.Net.Sockets;

namespace Quicksilver.Testing;

/// <summary>
/// Ports for listeners of tests: below those that the system gives to outgoing connections, because one of these could take a port
/// between the moment it was found free and the moment the listener starts. Each is given out once in this process.
/// </summary>
public static class Ports
{
    private const int First = 10_000;
    private const int End = 32_000;

    private static readonly Lock s_gate = new();

    // Other test processes that run now begin somewhere else.
    private static int s_next = First + (Environment.ProcessId * 97 % (End - First - 4_000));

    /// <summary>A port that was free a moment ago.</summary>
    public static int Free() => FreeRange(1);

    /// <summary>The first of some ports in a row that were free a moment ago.</summary>
    public static int FreeRange(int count)
    {
        lock (s_gate)
        {
            while (true)
            {
                if (s_next + count > End)
                {
                    s_next = First;
                }

                var first = s_next;
                s_next += count;
                if (Enumerable.Range(first, count).All(IsFree))
                {
                    return first;
                }
            }
        }
    }

    private static bool IsFree(int port)
    {
        try
        {
            using var listener = new TcpListener(IPAddress.Loopback, port);
            listener.Start();
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
