using System.CommandLine;
using System.Text;
using Quicksilver.Client;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Cli.Tests;

/// <summary>
/// Goal: a command line that cannot mean anything ends with exit code 2 and says why, before anything is sent. Method: whole
/// command lines, with a gateway where nothing listens.
/// </summary>
public sealed class UsageTests
{
    private readonly string _nowhere = $"127.0.0.1:{Ports.Free()}";

    private static async Task<(int Code, string Output, string Errors)> Run(params string[] args)
    {
        using var output = new MemoryStream();
        using var errors = new StringWriter();
        var code = await QsCommand.RunAsync(args, output, errors);
        return (code, Encoding.UTF8.GetString(output.ToArray()), errors.ToString());
    }

    [Theory]
    [InlineData("frobnicate")]
    [InlineData("")]
    [InlineData("get")]
    [InlineData("get flags")]
    [InlineData("get flags a b")]
    [InlineData("get flags a --no-such-option")]
    [InlineData("get flags a --consistency strong")]
    [InlineData("get flags a --at-least -1")]
    [InlineData("get flags a --at-least x")]
    [InlineData("get No/Name a")]
    [InlineData("get flags ??? --key-base64")]
    [InlineData("put flags a")]
    [InlineData("put flags a b --if-revision -1")]
    [InlineData("put flags a b --if-revision x")]
    [InlineData("put flags a b --ttl 5")]
    [InlineData("put flags a b --ttl 0s")]
    [InlineData("put flags a b --ttl 4000d")]
    [InlineData("put flags a b --operation-id 12")]
    [InlineData("put flags a ??? --value-base64")]
    [InlineData("put flags a b --if-absent --if-revision 5")]
    [InlineData("delete flags a --if-revision -5")]
    [InlineData("delete flags")]
    [InlineData("delete flags --yes")]
    [InlineData("delete flags a --prefix b")]
    [InlineData("delete flags --prefix")]
    [InlineData("delete flags --prefix a --if-revision 3")]
    [InlineData("delete flags --prefix a --key-base64")]
    [InlineData("scan flags --page-size 0")]
    [InlineData("scan flags --page-size -1")]
    [InlineData("scan flags --page-size 10001")]
    [InlineData("scan flags --page-size x")]
    [InlineData("scan flags --limit 0")]
    [InlineData("keyspace")]
    [InlineData("keyspace create")]
    [InlineData("keyspace create No/Name")]
    [InlineData("keyspace create flags --shards 0")]
    [InlineData("keyspace create flags --shards 1025")]
    [InlineData("import flags")]
    [InlineData("import flags nowhere.ndjson --batch 0")]
    [InlineData("import flags nowhere.ndjson --batch 10001")]
    [InlineData("import flags nowhere.ndjson --rate -1")]
    [InlineData("status --timeout 0")]
    [InlineData("status --timeout -1")]
    [InlineData("status --timeout x")]
    [InlineData("status --gateway localhost")]
    [InlineData("status --gateway localhost:")]
    [InlineData("status --gateway localhost:0")]
    [InlineData("status --gateway localhost:65536")]
    [InlineData("status --gateway :30000")]
    [InlineData("status --gateway bad_host!:30000")]
    public async Task A_command_line_that_means_nothing_is_a_usage_error(string line)
    {
        List<string> args = [.. line.Split(' ', StringSplitOptions.RemoveEmptyEntries)];
        if (!line.Contains("--gateway", StringComparison.Ordinal))
        {
            args.AddRange(["--gateway", _nowhere]);
        }

        if (!line.Contains("--timeout", StringComparison.Ordinal))
        {
            args.AddRange(["--timeout", "0.3"]);
        }

        var (code, output, errors) = await Run([.. args]);
        Assert.True(code == ExitCodes.Usage, $"Exit code {code}: {errors}");
        Assert.Equal("", output);
        Assert.StartsWith("qs: ", errors, StringComparison.Ordinal);
        Assert.DoesNotContain("Parameter '", errors, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_gateway_where_nothing_listens_is_unavailable_and_named()
    {
        var (code, output, errors) = await Run("get", "flags", "a", "--gateway", _nowhere, "--timeout", "0.3");
        Assert.Equal((ExitCodes.Unavailable, ""), (code, output));
        Assert.Contains(_nowhere, errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_write_that_never_left_is_not_of_unknown_outcome()
    {
        var (code, output, errors) = await Run("put", "flags", "a", "b", "--gateway", _nowhere, "--timeout", "0.3", "--json");
        Assert.Equal(ExitCodes.Unavailable, code);
        Assert.DoesNotContain("unknown", output + errors, StringComparison.OrdinalIgnoreCase);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_interrupted_write_that_may_have_happened_is_unknown_and_named(bool json)
    {
        var id = new OperationId(new(1_000), 1, 2);
        var uncertain = new QuicksilverException(QuicksilverErrorCode.OutcomeUnknown, "The write may have happened.", WriteOutcome.Unknown) { OperationId = id };
        var (code, errors) = await Interrupt(json, new OperationCanceledException("The caller stopped waiting.", uncertain));
        Assert.Equal(ExitCodes.Unknown, code);
        Assert.Contains(id.ToString(), errors, StringComparison.Ordinal);

        (code, errors) = await Interrupt(json, new OperationCanceledException());
        Assert.Equal(ExitCodes.Error, code);
        Assert.Contains("interrupted", errors, StringComparison.Ordinal);
    }

    private static async Task<(int Code, string Said)> Interrupt(bool json, OperationCanceledException e)
    {
        var common = new CommonOptions();
        var root = new RootCommand { common.Gateway, common.Json, common.Timeout };
        using var output = new MemoryStream();
        await using var errors = new StringWriter();
        var code = await QsCommand.InvokeAsync(common, root.Parse(json ? ["--json"] : []), (_, _) => throw e, output, errors, TestContext.Current.CancellationToken);
        return (code, Encoding.UTF8.GetString(output.ToArray()) + errors);
    }

    [Fact]
    public async Task A_file_that_is_not_there_is_an_error_that_names_it()
    {
        var (code, _, errors) = await Run("import", "flags", "/nowhere/rows.ndjson", "--gateway", _nowhere);
        Assert.Equal(ExitCodes.Error, code);
        Assert.Contains("/nowhere/rows.ndjson", errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(QuicksilverErrorCode.KeyspaceNotFound, WriteOutcome.NotAWrite, ExitCodes.NotFound)]
    [InlineData(QuicksilverErrorCode.Unavailable, WriteOutcome.NotCommitted, ExitCodes.Unavailable)]
    [InlineData(QuicksilverErrorCode.Unavailable, WriteOutcome.Unknown, ExitCodes.Unknown)]
    [InlineData(QuicksilverErrorCode.OutcomeUnknown, WriteOutcome.Unknown, ExitCodes.Unknown)]
    [InlineData(QuicksilverErrorCode.DeadlineExceeded, WriteOutcome.NotAWrite, ExitCodes.Unavailable)]
    [InlineData(QuicksilverErrorCode.DeadlineExceeded, WriteOutcome.Unknown, ExitCodes.Unknown)]
    [InlineData(QuicksilverErrorCode.Overloaded, WriteOutcome.NotCommitted, ExitCodes.Unavailable)]
    [InlineData(QuicksilverErrorCode.NotYet, WriteOutcome.NotAWrite, ExitCodes.Unavailable)]
    [InlineData(QuicksilverErrorCode.NotAGateway, WriteOutcome.NotAWrite, ExitCodes.Unavailable)]
    [InlineData(QuicksilverErrorCode.InvalidRequest, WriteOutcome.NotCommitted, ExitCodes.Usage)]
    [InlineData(QuicksilverErrorCode.KeyspaceExists, WriteOutcome.NotCommitted, ExitCodes.Error)]
    [InlineData(QuicksilverErrorCode.OperationIdReused, WriteOutcome.NotCommitted, ExitCodes.Error)]
    [InlineData(QuicksilverErrorCode.ForeignPosition, WriteOutcome.NotAWrite, ExitCodes.Error)]
    public void An_error_has_the_exit_code_of_the_table(QuicksilverErrorCode code, WriteOutcome outcome, int exit) =>
        Assert.Equal(exit, ExitCodes.For(new QuicksilverException(code, "x", outcome)));

    [Theory]
    [InlineData("localhost:1", "localhost", 1)]
    [InlineData("10.0.0.1:65535", "10.0.0.1", 65535)]
    [InlineData("[::1]:30000", "::1", 30000)]
    public void A_gateway_is_host_and_port(string text, string host, int port)
    {
        Assert.True(GatewayAddress.TryParse(text, out var address));
        Assert.Equal(new GatewayAddress(host, port), address);
        Assert.Equal(text, address.ToString());
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("localhost")]
    [InlineData("localhost:+1")]
    [InlineData("localhost: 1")]
    [InlineData("a b:1")]
    [InlineData("a:b:1")]
    [InlineData("http://localhost:1")]
    [InlineData("[::1]")]
    [InlineData("[[::1]]:1")]
    [InlineData("::1:30000")]
    public void What_is_not_host_and_port_is_refused(string? text) => Assert.False(GatewayAddress.TryParse(text, out _));
}
