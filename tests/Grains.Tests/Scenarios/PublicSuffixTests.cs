using Quicksilver.Samples.PublicSuffix;
using Quicksilver.Testing;

namespace Quicksilver.Grains.Tests.Scenarios;

/// <summary>
/// Goal: a real list, imported in one region, answers in another as its rules say. Method: the Public Suffix List of the Debian
/// package publicsuffix; names and answers after the list's own test data.
/// </summary>
public sealed class PublicSuffixTests(SharedCluster shared)
{
    private const string ListPath = "/usr/share/publicsuffix/public_suffix_list.dat";

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private LiveCluster Cluster => shared.Cluster;

    [Fact]
    public async Task The_list_imported_at_us_answers_at_eu_and_exports_alike_everywhere()
    {
        Assert.True(File.Exists(ListPath), $"{ListPath} is missing: ./test.sh installs the Debian package publicsuffix.");
        await using var us = Cluster.Connect("us");
        using (var list = File.OpenText(ListPath))
        {
            var report = await ListImport.RunAsync(us, "psl", list, Stop);
            Assert.True(report.Rules > 9_000, $"{report.Rules} rules");
            Assert.Equal(report.Rules, report.Added);
        }

        using (var list = File.OpenText(ListPath))
        {
            Assert.Equal((0, 0), await ListImport.RunAsync(us, "psl", list, Stop) switch { var again => (again.Added, again.Removed) });
        }

        await Cluster.LevelAsync("eu", Stop);
        await Cluster.LevelAsync("us", Stop);
        await using var eu = Cluster.Connect("eu");
        var lookup = new DomainLookup(eu.Keyspace("psl"));
        foreach (var (host, expected) in Expected)
        {
            Assert.Equal((host, expected), (host, (await lookup.FindAsync(host, Stop))?.RegistrableDomain));
        }

        var exports = new List<byte[]>();
        foreach (var region in new[] { "hub", "eu", "us" })
        {
            var export = await Cluster.QsAsync(region, "export", "psl");
            Assert.Equal(0, export.ExitCode);
            exports.Add(export.OutputBytes);
        }

        Assert.True(exports[0].Length > 200_000);
        Assert.Equal(exports[0], exports[1]);
        Assert.Equal(exports[0], exports[2]);
        var verify = await Cluster.QsAsync("us", "verify");
        Assert.Equal(0, verify.ExitCode);
        Assert.Contains("equal: 3 nodes", verify.Output, StringComparison.Ordinal);
    }

    private static readonly (string Host, string? Registrable)[] Expected =
    [
        ("", null), ("COM", null), ("example.COM", "example.com"), ("WwW.example.COM", "example.com"),
        ("biz", null), ("domain.biz", "domain.biz"), ("a.b.domain.biz", "domain.biz"),
        ("com", null), ("uk.com", null), ("example.uk.com", "example.uk.com"), ("a.b.example.uk.com", "example.uk.com"),
        ("example.co.uk", "example.co.uk"), ("www.example.co.uk", "example.co.uk"), ("co.uk", null),
        ("test.ac", "test.ac"),

        // Wildcards and exceptions.
        ("ck", null), ("test.ck", null), ("b.test.ck", "b.test.ck"), ("a.b.test.ck", "b.test.ck"), ("www.ck", "www.ck"), ("www.www.ck", "www.ck"),
        ("jp", null), ("test.jp", "test.jp"), ("ac.jp", null), ("test.ac.jp", "test.ac.jp"), ("kyoto.jp", null), ("test.kyoto.jp", "test.kyoto.jp"),
        ("ide.kyoto.jp", null), ("b.ide.kyoto.jp", "b.ide.kyoto.jp"), ("c.kobe.jp", null), ("b.c.kobe.jp", "b.c.kobe.jp"), ("a.b.c.kobe.jp", "b.c.kobe.jp"),
        ("city.kobe.jp", "city.kobe.jp"), ("www.city.kobe.jp", "city.kobe.jp"),
        ("us", null), ("test.us", "test.us"), ("ak.us", null), ("test.ak.us", "test.ak.us"), ("k12.ak.us", null), ("test.k12.ak.us", "test.k12.ak.us"),

        // Names in other scripts, as Unicode and as punycode.
        ("食狮.com.cn", "食狮.com.cn"), ("食狮.公司.cn", "食狮.公司.cn"), ("www.食狮.公司.cn", "食狮.公司.cn"), ("公司.cn", null),
        ("食狮.中国", "食狮.中国"), ("中国", null), ("xn--85x722f.xn--55qx5d.cn", "食狮.公司.cn"), ("xn--fiqs8s", null),

        // Not in the list: the rule "*".
        ("example", null), ("example.example", "example.example"), ("b.example.example", "example.example"),
        ("127.0.0.1", null), ("-bad-", null),
    ];
}
