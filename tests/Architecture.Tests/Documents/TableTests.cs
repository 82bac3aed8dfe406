using System.Globalization;
using System.Reflection;
using Quicksilver.Client;
using Quicksilver.Hosting;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Architecture.Tests.Documents;

/// <summary>
/// Goal: the tables of options and errors in docs/client.md have every option and error that there is, and the defaults that count. Method: the
/// public properties of the options of a fresh object, by reflection, and the members of the enum.
/// </summary>
public sealed class TableTests
{
    private static readonly Document ClientPage = Document.Read("docs/client.md");

    /// <summary>What a list that nothing was added to means.</summary>
    private static readonly Dictionary<string, string> EmptyLists = new()
    {
        ["Gateways"] = QuicksilverClientOptions.DefaultGateway,
        ["Upstreams"] = "required",
        ["Keyspaces"] = "all",
    };

    [Fact]
    public void Every_option_of_the_client_is_in_its_table_with_its_default() =>
        Compare(ClientPage.Table("Options of the client", "option"), [("", new QuicksilverClientOptions())]);

    [Fact]
    public void Every_option_of_a_call_is_in_its_table_with_its_default() => Compare(
        ClientPage.Table("Options of a call", "option"),
        [("ReadOptions.", new ReadOptions()), ("WriteOptions.", new WriteOptions()), ("ScanOptions.", new ScanOptions()), ("WatchOptions.", new WatchOptions())]);

    [Fact]
    public void Every_option_of_a_replica_is_in_its_table_with_its_default() =>
        Compare(ClientPage.Table("A replica in the application's process", "option"), [("", new QuicksilverReplicaOptions())]);

    [Fact]
    public void Every_error_code_is_in_its_table_and_is_said_to_be_worth_another_try_where_it_is()
    {
        var table = ClientPage.Table("When something goes wrong", "`Code`");
        Assert.Equal("`IsTransient`", table.Header[1]);
        var said = table.Rows.SelectMany(row => NamesIn(row[0]).Select(name => (name, row[1]))).Order();
        var actual = Enum.GetValues<QuicksilverErrorCode>().Select(code => ($"{code}", new QuicksilverException(code, "").IsTransient ? "yes" : "no")).Order();
        Assert.Equal(actual, said);
    }

    private static void Compare(DocumentTable table, (string Prefix, object Options)[] all)
    {
        var actual = all.SelectMany(one => one.Options.GetType().GetProperties(BindingFlags.Instance | BindingFlags.Public)
            .Select(property => (Name: one.Prefix + property.Name, Default: Text(property.Name, property.GetValue(one.Options))))).ToDictionary(option => option.Name, option => option.Default);
        var said = table.Rows.ToDictionary(row => Assert.Single(NamesIn(row[0])), row => row[1].Replace("`", "", StringComparison.Ordinal));
        Assert.NotEmpty(actual);
        List<string> problems =
        [
            .. actual.Keys.Except(said.Keys).Select(name => $"{table.Place} has no row for {name}, whose default is {actual[name]}"),
            .. said.Keys.Except(actual.Keys).Select(name => $"{table.Place} has a row for {name}, which there is not"),
            .. said.Where(row => actual.TryGetValue(row.Key, out var value) && !Says(row.Value, value))
                .Select(row => $"{table.Place} says that the default of {row.Key} is '{row.Value}'; it is {actual[row.Key]}"),
        ];
        Assert.True(problems.Count == 0, string.Join('\n', problems));
    }

    private static IEnumerable<string> NamesIn(string cell) => cell.Split('`').Where((_, i) => i % 2 == 1);

    /// <summary>A cell is the default, and may say more behind a comma, a colon or a parenthesis.</summary>
    private static bool Says(string cell, string value) =>
        cell == value || new[] { ", ", ": ", " (" }.Any(mark => cell.StartsWith(value + mark, StringComparison.Ordinal));

    private static string Text(string option, object? value) => value switch
    {
        null => "none",
        "" => "required",
        IList<string> { Count: 0 } => EmptyLists[option],
        ReadOnlyMemory<byte> { IsEmpty: true } => "empty",
        ReadOptions read when read == ReadOptions.Session => "ReadOptions.Session",
        bool flag => flag ? "true" : "false",
        int number => number.ToString("N0", CultureInfo.InvariantCulture),
        long bytes when bytes % (1L << 30) == 0 => $"{bytes >> 30} GiB",
        long bytes when bytes % (1L << 20) == 0 => $"{bytes >> 20} MiB",
        TimeSpan time when time == TimeSpan.FromDays(1) => "1 day",
        TimeSpan time when time.TotalSeconds >= 1 => $"{time.TotalSeconds.ToString(CultureInfo.InvariantCulture)} s",
        TimeSpan time => $"{time.TotalMilliseconds.ToString(CultureInfo.InvariantCulture)} ms",
        Enum member => $"{member}",
        _ => throw new NotSupportedException($"{option} is {value}: say here how its table writes that."),
    };
}
