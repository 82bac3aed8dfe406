using System.Text;
using System.Text.Json;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Grains.Tests.Scenarios;

/// <summary>
/// Goal: the tool says what happened, on the right stream and with the right exit code. Method: qs in this process against a
/// running cluster.
/// </summary>
public sealed class QsTests(SharedCluster shared)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private LiveCluster Cluster => shared.Cluster;

    [Fact]
    public async Task Outcomes_are_json_and_exit_codes()
    {
        Assert.Equal(0, (await Cluster.QsAsync("us", "keyspace", "create", "qs-out")).ExitCode);
        var put = await Cluster.QsAsync("us", "put", "qs-out", "k", "v", "--json");
        Assert.Equal((0, "committed"), (put.ExitCode, Json(put).GetProperty("outcome").GetString()));
        var revision = Json(put).GetProperty("revision").GetInt64();
        Assert.True(OperationId.TryParse(Json(put).GetProperty("operationId").GetString(), out var id));

        var again = await Cluster.QsAsync("hub", "put", "qs-out", "k", "v", "--operation-id", id.ToString(), "--json");
        Assert.Equal((0, revision), (again.ExitCode, Json(again).GetProperty("revision").GetInt64()));
        var reused = await Cluster.QsAsync("hub", "put", "qs-out", "k", "w", "--operation-id", id.ToString(), "--json");
        Assert.Equal(1, reused.ExitCode);
        Assert.Contains("was used for another request", reused.Errors, StringComparison.Ordinal);

        var failed = await Cluster.QsAsync("us", "put", "qs-out", "k", "w", "--if-absent", "--json");
        Assert.Equal((4, revision), (failed.ExitCode, Json(failed).GetProperty("actualRevision").GetInt64()));
        Assert.Equal("unchanged", Json(await Cluster.QsAsync("us", "put", "qs-out", "k", "v", "--skip-unchanged", "--json")).GetProperty("outcome").GetString());
        Assert.Equal(3, (await Cluster.QsAsync("us", "get", "qs-out", "nope", "--json")).ExitCode);
        Assert.Equal(3, (await Cluster.QsAsync("us", "get", "qs-none", "k")).ExitCode);
        Assert.Equal(0, (await Cluster.QsAsync("us", "delete", "qs-out", "k", "--if-revision", revision.ToString(System.Globalization.CultureInfo.InvariantCulture))).ExitCode);
        Assert.Equal(3, (await Cluster.QsAsync("us", "get", "qs-out", "k")).ExitCode);
        Assert.Equal(0, (await Cluster.QsAsync("eu", "keyspace", "delete", "qs-out")).ExitCode);
        Assert.Equal(3, (await Cluster.QsAsync("eu", "keyspace", "delete", "qs-out")).ExitCode);
    }

    [Fact]
    public async Task Keys_and_values_of_any_bytes_go_round()
    {
        await Cluster.QsAsync("hub", "keyspace", "create", "qs-bytes");
        await Cluster.QsAsync("hub", "keyspace", "create", "qs-bytes2");
        byte[] key = [0, 0xff, 0xfe, (byte)'\n', 0x80], value = [0xc3, 0x28, 0, 13, 10];
        Assert.Equal(0, (await Cluster.QsAsync("us", "put", "qs-bytes", Convert.ToBase64String(key), Convert.ToBase64String(value), "--key-base64", "--value-base64", "--metadata", "m\"ä")).ExitCode);
        Assert.Equal(0, (await Cluster.QsAsync("us", "put", "qs-bytes", "@text", "@värde", "--metadata", "")).ExitCode);
        Assert.Equal(0, (await Cluster.QsAsync("us", "put", "qs-bytes", "empty", "")).ExitCode);
        Assert.Equal(value, (await Cluster.QsAsync("us", "get", "qs-bytes", Convert.ToBase64String(key), "--key-base64", "--raw")).OutputBytes);

        await Cluster.LevelAsync("us", Stop);
        using var directory = new TempDirectory();
        var first = await Cluster.QsAsync("us", "export", "qs-bytes");
        await File.WriteAllBytesAsync(directory.Sub("rows"), first.OutputBytes, Stop);
        var import = await Cluster.QsAsync("us", "import", "qs-bytes2", directory.Sub("rows"), "--json");
        Assert.Equal((0, 3L), (import.ExitCode, Json(import).GetProperty("imported").GetInt64()));
        var second = await Cluster.QsAsync("hub", "export", "qs-bytes2");
        Assert.Equal(first.Output, second.Output);
        Assert.Contains("\"key_base64\"", first.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_row_that_expires_is_exported_and_imported_with_the_time_it_has_left()
    {
        await Cluster.QsAsync("hub", "keyspace", "create", "qs-ttl");
        await Cluster.QsAsync("hub", "keyspace", "create", "qs-ttl2");
        Assert.Equal(0, (await Cluster.QsAsync("us", "put", "qs-ttl", "k", "v", "--ttl", "1h")).ExitCode);
        var got = await Cluster.QsAsync("us", "get", "qs-ttl", "k", "--json");
        var expires = Json(got).GetProperty("expires").GetDateTimeOffset();
        Assert.InRange(expires - TimeProvider.System.GetUtcNow(), TimeSpan.FromMinutes(59), TimeSpan.FromMinutes(61));
        using var directory = new TempDirectory();
        var rows = await Cluster.QsAsync("us", "export", "qs-ttl");
        await File.WriteAllTextAsync(directory.Sub("rows"), rows.Output + "{\"key\":\"over\",\"value\":\"v\",\"expires\":\"2020-01-01T00:00:00Z\"}\n", Stop);
        var import = await Cluster.QsAsync("us", "import", "qs-ttl2", directory.Sub("rows"), "--json");
        Assert.Equal((0, 1L, 1L), (import.ExitCode, Json(import).GetProperty("imported").GetInt64(), Json(import).GetProperty("expired").GetInt64()));
        got = await Cluster.QsAsync("us", "get", "qs-ttl2", "k", "--json");
        Assert.InRange(Json(got).GetProperty("expires").GetDateTimeOffset() - expires, TimeSpan.FromSeconds(-5), TimeSpan.FromSeconds(5));
        Assert.Equal(3, (await Cluster.QsAsync("us", "get", "qs-ttl2", "over")).ExitCode);
    }

    [Fact]
    public async Task A_prefix_is_deleted_only_by_who_is_sure_and_others_hear_how_many_keys_it_has()
    {
        await Cluster.QsAsync("hub", "keyspace", "create", "qs-prefix");
        foreach (var key in new[] { "a/1", "a/2", "b" })
        {
            await Cluster.QsAsync("hub", "put", "qs-prefix", key, "v");
        }

        var asked = await Cluster.QsAsync("hub", "delete", "qs-prefix", "--prefix", "a/");
        Assert.Equal((2, ""), (asked.ExitCode, asked.Output));
        Assert.Equal("qs: 2 keys start with 'a/'. Nothing was deleted: say --yes to delete them.", asked.Errors.Trim());
        Assert.Equal("a/1\na/2\nb\n", (await Cluster.QsAsync("hub", "scan", "qs-prefix", "--keys-only")).Output);

        var deleted = await Cluster.QsAsync("us", "delete", "qs-prefix", "--prefix", "a/", "--yes", "--json");
        Assert.Equal((0, "committed"), (deleted.ExitCode, Json(deleted).GetProperty("outcome").GetString()));
        Assert.Equal("b\n", (await Cluster.QsAsync("hub", "scan", "qs-prefix", "--keys-only")).Output);
        Assert.Equal("b\tv\n", (await Cluster.QsAsync("hub", "scan", "qs-prefix", "--reverse")).Output);
    }

    [Fact]
    public async Task An_import_names_bad_lines_goes_on_and_can_be_run_again()
    {
        await Cluster.QsAsync("hub", "keyspace", "create", "qs-import");
        using var directory = new TempDirectory();
        var lines = new[]
        {
            "\uFEFF{\"key\":\"a\",\"value\":\"1\"}\r",
            "{\"key\":\"b\"}",
            "not json",
            "{\"key\":\"c\",\"value\":\"3\",\"value_base64\":\"Mw==\"}",
            "{\"key\":\"d\",\"value\":\"4\"}{\"key\":\"e\",\"value\":\"5\"}",
            "",
            "{\"key\":\"\",\"value\":\"6\"}",
            $"{{\"key\":\"{new string('k', 1_025)}\",\"value\":\"7\"}}",
            "{\"key\":\"f\",\"value_base64\":\"###\"}",
            "{\"key\":\"g\",\"value\":8}",
            "{\"key\":\"a\",\"value\":\"again\",\"metadata\":\"m\"}",
            $"{{\"key\":\"long\",\"value\":\"{new string('x', 7_000_000)}\"}}",
            "{\"key\":\"h\",\"value\":\"9\"}",
            "{\"key\":\"cut\",\"val",
        };
        await File.WriteAllTextAsync(directory.Sub("rows"), string.Join('\n', lines), new UTF8Encoding(false), Stop);
        var run = await Cluster.QsAsync("us", "import", "qs-import", directory.Sub("rows"));
        Assert.Equal(1, run.ExitCode);
        Assert.Equal("imported 3 records, 0 unchanged, 10 bad lines left out\n", run.Output);
        foreach (var line in new[] { 2, 3, 4, 5, 7, 8, 9, 10, 12, 14 })
        {
            Assert.Contains($"qs: line {line} is left out: ", run.Errors, StringComparison.Ordinal);
        }

        Assert.Contains("line 4 is left out: it has two values", run.Errors, StringComparison.Ordinal);
        Assert.Contains("line 8 is left out: The key has 1025 bytes", run.Errors, StringComparison.Ordinal);
        var before = (await Cluster.QsAsync("hub", "export", "qs-import")).Output;
        Assert.Equal("{\"key\":\"a\",\"value\":\"again\",\"metadata\":\"m\"}\n{\"key\":\"h\",\"value\":\"9\"}\n", before);
        await Cluster.QsAsync("us", "import", "qs-import", directory.Sub("rows"));
        Assert.Equal(before, (await Cluster.QsAsync("hub", "export", "qs-import")).Output);

        var json = await Cluster.QsAsync("us", "import", "qs-import", directory.Sub("rows"), "--json");
        Assert.All(json.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries), line => JsonDocument.Parse(line).Dispose());
    }

    [Fact]
    public async Task A_file_imported_again_takes_no_revision()
    {
        await Cluster.QsAsync("hub", "keyspace", "create", "qs-twice");
        using var directory = new TempDirectory();
        await File.WriteAllLinesAsync(directory.Sub("rows"), Enumerable.Range(0, 2_000).Select(i => $"{{\"key\":\"k{i:d5}\",\"value\":\"{i}\"}}"), Stop);
        Assert.Equal(0, (await Cluster.QsAsync("eu", "import", "qs-twice", directory.Sub("rows"), "--batch", "300")).ExitCode);
        var again = await Cluster.QsAsync("eu", "import", "qs-twice", directory.Sub("rows"), "--batch", "300", "--json");
        Assert.Equal((0L, 2_000L), (Json(again).GetProperty("imported").GetInt64(), Json(again).GetProperty("unchanged").GetInt64()));
    }

    [Fact]
    public async Task Status_has_one_object_per_node_with_what_scripts_read()
    {
        await Cluster.QsAsync("hub", "keyspace", "create", "qs-status");
        await Cluster.LevelAsync("eu", Stop);
        foreach (var region in new[] { "hub", "eu" })
        {
            var status = await Cluster.QsAsync(region, "status", "--json");
            Assert.Equal(0, status.ExitCode);
            var nodes = status.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement).ToDictionary(node => node.GetProperty("node").GetString()!);
            Assert.Equal(["eu", "hub", "us"], nodes.Keys.Order());
            Assert.Equal(("hub", "leader"), (nodes["hub"].GetProperty("role").GetString(), nodes["hub"].GetProperty("raft").GetProperty("role").GetString()));
            Assert.Equal(("replica", "eu", "pulling"), (nodes["eu"].GetProperty("role").GetString(), nodes["eu"].GetProperty("region").GetString(), nodes["eu"].GetProperty("state").GetString()));
            Assert.True(nodes["eu"].GetProperty("revision").GetInt64() > 0);
            Assert.InRange(nodes["eu"].GetProperty("lagSeconds").GetDouble(), 0, 30);
            Assert.InRange(nodes["eu"].GetProperty("lagRevisions").GetInt64(), 0, 1_000);
        }
    }

    [Fact]
    public async Task Keyspaces_members_and_lag_are_listed_for_people_and_scripts()
    {
        await Cluster.QsAsync("hub", "keyspace", "create", "qs-listed", "--shards", "4");
        var names = await Cluster.QsAsync("hub", "keyspace", "list");
        Assert.Equal(0, names.ExitCode);
        Assert.Contains("qs-listed", names.Output.Split('\n'));
        var listed = Lines(await Cluster.QsAsync("hub", "keyspace", "list", "--json")).Single(keyspace => keyspace.GetProperty("name").GetString() == "qs-listed");
        Assert.Equal((4, false), (listed.GetProperty("shards").GetInt32(), listed.GetProperty("skipUnchanged").GetBoolean()));

        var lag = await Cluster.QsAsync("us", "lag", "--json");
        Assert.Equal(0, lag.ExitCode);
        Assert.Equal(["eu", "us"], Lines(lag).Select(node => node.GetProperty("node").GetString()).Order());
        Assert.All(Lines(lag), node => Assert.True(node.GetProperty("behindNewest").GetInt64() >= 0));

        var members = await Cluster.QsAsync("hub", "hub", "list", "--json");
        Assert.Equal(0, members.ExitCode);
        var member = Assert.Single(Lines(members));
        Assert.Equal(("hub", "leader"), (member.GetProperty("node").GetString(), member.GetProperty("role").GetString()));
    }

    [Fact]
    public async Task What_is_no_gateway_is_said_to_be_none()
    {
        var http = await QsRun.StartAsync("get", "a", "b", "--gateway", $"127.0.0.1:{Cluster.HttpPort("eu")}", "--timeout", "3");
        Assert.Equal(6, http.ExitCode);
        Assert.Contains("is not a Quicksilver gateway", http.Errors, StringComparison.Ordinal);
        var closed = await QsRun.StartAsync("put", "a", "b", "c", "--gateway", $"127.0.0.1:{Ports.Free()}", "--timeout", "1", "--json");
        Assert.Equal((6, ""), (closed.ExitCode, closed.Output));
        Assert.Contains("No Quicksilver gateway answers", closed.Errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("put", "ks", "", "v")]
    [InlineData("put", "ks", "k", "v", "--if-revision", "-1")]
    [InlineData("put", "ks", "k", "v", "--if-absent", "--if-revision", "3")]
    [InlineData("put", "ks", "k", "v", "--operation-id", "abc")]
    [InlineData("put", "ks", "k", "not base64!", "--value-base64")]
    [InlineData("put", "KS", "k", "v")]
    [InlineData("get", "ks", "k", "--raw", "--json")]
    [InlineData("get", "ks", "k", "--consistency", "eventual", "--at-least", "3")]
    [InlineData("get", "ks", "k", "--consistency", "sometimes")]
    [InlineData("scan", "ks", "--page-size", "0")]
    [InlineData("scan", "ks", "--limit", "0")]
    [InlineData("keyspace", "create", "-")]
    [InlineData("keyspace", "create", "x", "--shards", "2000")]
    [InlineData("keyspace", "create")]
    [InlineData("import", "ks", "file", "--batch", "0")]
    [InlineData("frobnicate")]
    public async Task Wrong_usage_ends_with_two_and_says_why(params string[] args)
    {
        var run = await Cluster.QsAsync("hub", args);
        Assert.Equal((2, ""), (run.ExitCode, run.Output));
        Assert.StartsWith("qs: ", run.Errors, StringComparison.Ordinal);
    }

    private static List<JsonElement> Lines(QsRun run) =>
        [.. run.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement)];

    private static JsonElement Json(QsRun run) => JsonDocument.Parse(run.Output).RootElement;
}
