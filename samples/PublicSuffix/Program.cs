using Microsoft.Extensions.DependencyInjection;
using Quicksilver.Client;
using Quicksilver.Model;
using Quicksilver.Samples.PublicSuffix;

const string Usage = """
    usage: PublicSuffix import [--gateway HOST:PORT] [FILE]     FILE: default /usr/share/publicsuffix/public_suffix_list.dat
           PublicSuffix lookup [--gateway HOST:PORT] HOST...
    """;
const string DebianList = "/usr/share/publicsuffix/public_suffix_list.dat";

var arguments = args.ToList();
var gateway = QuicksilverClientOptions.DefaultGateway;
if (arguments.IndexOf("--gateway") is var at and >= 0)
{
    if (at + 1 >= arguments.Count)
    {
        Console.Error.WriteLine(Usage);
        return 2;
    }

    gateway = arguments[at + 1];
    arguments.RemoveRange(at, 2);
}

await using var services = new ServiceCollection()
    .AddQuicksilverClient(options => options.Gateways.Add(gateway))
    .BuildServiceProvider();
try
{
    switch (arguments)
    {
        case ["import", .. var files] when files.Count <= 1:
            using (var list = File.OpenText(files.FirstOrDefault() ?? DebianList))
            {
                var report = await ListImport.RunAsync(services.GetRequiredService<IQuicksilverClient>(), "psl", list);
                Console.WriteLine($"{report.Rules} rules: {report.Added} added or changed, {report.Removed} removed");
            }

            return 0;
        case ["lookup", _, ..]:
            var lookup = new DomainLookup(services.GetRequiredService<IQuicksilverClient>().Keyspace("psl"));
            foreach (var host in arguments.Skip(1))
            {
                var answer = await lookup.FindAsync(host);
                Console.WriteLine($"{host} -> {answer?.RegistrableDomain ?? "(none)"}");
            }

            return 0;
        default:
            Console.Error.WriteLine(Usage);
            return 2;
    }
}
catch (FileNotFoundException e)
{
    Console.Error.WriteLine($"{e.Message} Install the Debian package publicsuffix, or name a file.");
    return 1;
}
catch (QuicksilverException e)
{
    Console.Error.WriteLine(e.Message);
    return 1;
}
