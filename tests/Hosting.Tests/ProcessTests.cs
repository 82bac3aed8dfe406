using System.Net;
using System.Net.Sockets;
using Quicksilver.Model;
using Quicksilver.Sequencing;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Hosting.Tests;

/// <summary>
/// Goal: a process that cannot start says so by a code that a supervisor can tell apart, and a taken port is found before anything
/// else starts. Method: real ports; every exception of the table, wrapped as hosts wrap them.
/// </summary>
public sealed class ProcessTests
{
    [Fact]
    public void A_free_port_passes_again_and_again()
    {
        var endpoint = new IPEndPoint(IPAddress.Loopback, Ports.Free());
        PortCheck.Require([("Quicksilver:Ports:Gateway", endpoint)]);
        PortCheck.Require([("Quicksilver:Ports:Gateway", endpoint), ("Quicksilver:Ports:Silo", new(IPAddress.Loopback, Ports.Free()))]);
    }

    [Fact]
    public void A_port_in_use_is_named_with_its_setting()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        var endpoint = (IPEndPoint)taken.LocalEndpoint;
        var e = Assert.Throws<PortInUseException>(() => PortCheck.Require(
            [("Quicksilver:Ports:Silo", new(IPAddress.Loopback, Ports.Free())), ("Quicksilver:Ports:Gateway", endpoint)]));
        Assert.Contains($"{endpoint.Port}", e.Message, StringComparison.Ordinal);
        Assert.Contains("Quicksilver:Ports:Gateway", e.Message, StringComparison.Ordinal);
        taken.Stop();
        PortCheck.Require([("Quicksilver:Ports:Gateway", endpoint)]);
    }

    [Fact]
    public void An_address_that_is_not_of_this_machine_is_refused_too() => Assert.Contains(
        "Quicksilver:Ports:Http",
        Assert.Throws<PortInUseException>(() => PortCheck.Require([("Quicksilver:Ports:Http", new(IPAddress.Parse("203.0.113.1"), 5))])).Message,
        StringComparison.Ordinal);

    [Fact]
    public void One_port_for_two_uses_is_refused()
    {
        var endpoint = new IPEndPoint(IPAddress.Loopback, Ports.Free());
        Assert.Throws<PortInUseException>(() => PortCheck.Require([("Quicksilver:Ports:Gateway", endpoint), ("Quicksilver:Ports:Silo", endpoint)]));
    }

    [Fact]
    public void Every_failure_has_the_exit_code_of_the_table()
    {
        foreach (var (failure, code) in new (Exception, int)[]
        {
            (new ConfigurationException("Quicksilver:Role", null, "x"), 2),
            (new StorageException(StorageFault.Io, "x"), 10),
            (new StorageException(StorageFault.Corrupt, "x"), 10),
            (new StorageException(StorageFault.InUse, "x"), 11),
            (new StorageException(StorageFault.Foreign, "x"), 11),
            (new NeedsRepairException("x"), 12),
            (new PortInUseException("x", new(IPAddress.Loopback, 5), SocketError.AddressAlreadyInUse), 13),
            (new IOException("x"), 10),
            (new InvalidOperationException("x"), 1),
            (new MalformedDataException("x"), 1),
        })
        {
            Assert.Equal(code, ExitCode.For(failure));
            Assert.Equal(code, ExitCode.For(new InvalidOperationException("wrapped", failure)));
            Assert.Equal(code, ExitCode.For(new AggregateException(failure)));
            Assert.Equal(code, ExitCode.For(new AggregateException(new InvalidOperationException("wrapped", failure))));
        }
    }
}
