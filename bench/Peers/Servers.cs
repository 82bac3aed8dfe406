using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Quicksilver.Peers;

/// <summary>Processes of other products.</summary>
internal static class Servers
{
    public static Process Start(string program, params IEnumerable<string> arguments)
    {
        var server = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true })
            ?? throw new InvalidOperationException($"{program} did not start.");
        _ = server.StandardError.ReadToEndAsync(CancellationToken.None);
        _ = server.StandardOutput.ReadToEndAsync(CancellationToken.None);
        return server;
    }

    public static int FreePort() => FreePorts(1)[0];

    /// <summary>Ports that nobody listens on, all different.</summary>
    public static List<int> FreePorts(int count)
    {
        var listeners = Enumerable.Range(0, count).Select(_ => new TcpListener(IPAddress.Loopback, 0)).ToList();
        listeners.ForEach(listener => listener.Start());
        var ports = listeners.ConvertAll(listener => ((IPEndPoint)listener.LocalEndpoint).Port);
        listeners.ForEach(listener => listener.Dispose());
        return ports;
    }

    /// <summary>Waits until somebody listens.</summary>
    public static async Task ListensAsync(int port, CancellationToken stop)
    {
        for (var tries = 0; ; tries++)
        {
            using var socket = new TcpClient();
            try
            {
                await socket.ConnectAsync(IPAddress.Loopback, port, stop);
                return;
            }
            catch (SocketException) when (tries < 200)
            {
                await Task.Delay(50, stop);
            }
        }
    }

    public static async Task StopAsync(IEnumerable<Process> servers)
    {
        foreach (var server in servers)
        {
            server.Kill();
            await server.WaitForExitAsync();
            server.Dispose();
        }
    }
}
