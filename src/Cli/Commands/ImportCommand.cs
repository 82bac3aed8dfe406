using System.CommandLine;
using System.Globalization;
using Quicksilver.Client;
using Quicksilver.Cli.Ndjson;
using Quicksilver.Model;
using Spectre.Console;

namespace Quicksilver.Cli.Commands;

/// <summary><c>qs import</c></summary>
internal static class ImportCommand
{
    public static Command Build(Func<Command, Func<ParseResult, Invocation, Task<int>>, Command> add)
    {
        var keyspace = new Argument<string>("keyspace") { Description = "Name of the keyspace." };
        var file = new Argument<string>("file") { Description = "NDJSON file, or '-' for standard input: one {\"key\"|\"key_base64\", \"value\"|\"value_base64\", \"metadata\"?, \"expires\"?} per line." };
        var batch = new Option<int>("--batch") { Description = "Records of one transaction, 1 to 10,000.", DefaultValueFactory = _ => 500, Validators = { Checks.AtLeast(1) } };
        var rate = new Option<double>("--rate") { Description = "Most records per second; 0 = as fast as it goes.", DefaultValueFactory = _ => 0, Validators = { Checks.Between(0, 1e9) } };
        return add(
            new Command("import", "Sets the keys of an NDJSON file. Safe to run again: what is there already takes no revision.") { keyspace, file, batch, rate },
            async (parsed, run) =>
            {
                var size = parsed.GetValue(batch);
                if (size > Limits.MaxMutations)
                {
                    throw new ArgumentException($"--batch is {size}; it must be 1 to {Limits.MaxMutations}.");
                }

                var path = parsed.GetRequiredValue(file);
                await using var stream = path == "-" ? Console.OpenStandardInput() : File.OpenRead(path);
                var importer = new Importer(run, run.Client.Keyspace(parsed.GetRequiredValue(keyspace)), size, parsed.GetValue(rate));
                try
                {
                    await WithProgressAsync(stream, run, progress => importer.RunAsync(stream, progress));
                }
                catch
                {
                    // Also where it ends early: how far it got is what decides whether to run it again.
                    importer.Report();
                    throw;
                }

                return importer.Report();
            });
    }

    /// <summary>A bar on a terminal; nothing where the output goes elsewhere.</summary>
    private static async Task WithProgressAsync(Stream stream, Invocation run, Func<Action<double>, Task> import)
    {
        if (run.Json || Console.IsErrorRedirected || !stream.CanSeek)
        {
            await import(static _ => { });
            return;
        }

        var console = AnsiConsole.Create(new() { Out = new AnsiConsoleOutput(Console.Error) });
        await console.Progress().Columns(new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn(), new SpinnerColumn()).StartAsync(async context =>
        {
            var task = context.AddTask("import");
            await import(share => task.Value = 100 * share);
            task.Value = 100;
        });
    }

    /// <summary>Reads records, commits them in batches, names bad lines and goes on.</summary>
    private sealed class Importer(Invocation run, IKeyspace keyspace, int batchSize, double rate)
    {
        /// <summary>A batch is committed early when its values reach this: one transaction has a limit, too.</summary>
        private const int MaxBatchBytes = 1024 * 1024;

        /// <summary>A rate below one record in eleven days is no rate.</summary>
        private const double MaxPauseSeconds = 1_000_000;

        private readonly Dictionary<Key, ImportRecord> _batch = [];
        private readonly long _start = TimeProvider.System.GetTimestamp();
        private int _batchBytes;
        private long _records;
        private long _unchanged;
        private long _bad;
        private long _expired;

        public async Task RunAsync(Stream stream, Action<double> progress)
        {
            await foreach (var line in LineReader.ReadAsync(stream, ImportRecord.MaxLineBytes, run.Cancellation))
            {
                if (line.IsTooLong)
                {
                    Complain(line.Number, $"it has more than {ImportRecord.MaxLineBytes} bytes");
                }
                else if (!line.Bytes.Span.Trim((byte)' ').IsEmpty)
                {
                    await AddAsync(line);
                }

                if (stream.CanSeek && stream.Length > 0)
                {
                    progress((double)stream.Position / stream.Length);
                }
            }

            await CommitAsync();
        }

        private async Task AddAsync(Line line)
        {
            ImportRecord record;
            try
            {
                record = ImportRecord.Parse(line.Bytes.Span);
            }
            catch (FormatException e)
            {
                Complain(line.Number, e.Message);
                return;
            }

            if (record.Expires <= TimeProvider.System.GetUtcNow())
            {
                _expired++;
                return;
            }

            // A transaction has one mutation per key; a key that comes again belongs to the next one.
            var bytes = record.Key.Span.Length + record.Value.Length + record.Metadata.Length;
            if (_batch.Count == batchSize || _batch.ContainsKey(record.Key) || (_batch.Count > 0 && _batchBytes + bytes > MaxBatchBytes))
            {
                await CommitAsync();
            }

            _batch.Add(record.Key, record);
            _batchBytes += bytes;
        }

        private async Task CommitAsync()
        {
            if (_batch.Count == 0)
            {
                return;
            }

            if (rate > 0)
            {
                var due = TimeSpan.FromSeconds(Math.Min((_records + _unchanged) / rate, MaxPauseSeconds)) - TimeProvider.System.GetElapsedTime(_start);
                if (due > TimeSpan.Zero)
                {
                    await Task.Delay(due, run.Cancellation);
                }
            }

            var result = await keyspace.CommitAsync(
                [], [.. _batch.Values.Select(record => Mutation.Put(record.Key, record.Value, record.Metadata, TimeLeft(record)))],
                new() { SkipUnchanged = true }, run.Cancellation);
            if (result.Status == CommitStatus.Unchanged)
            {
                _unchanged += _batch.Count;
            }
            else
            {
                _records += _batch.Count;
            }

            _batch.Clear();
            _batchBytes = 0;
        }

        /// <summary>At least the shortest there is: it may have been over a moment ago. One that is beyond all limits goes as late as it may.</summary>
        private static TimeSpan? TimeLeft(ImportRecord record) => record.Expires is { } expires
            ? TimeSpan.FromMilliseconds(Math.Clamp((expires - TimeProvider.System.GetUtcNow()).TotalMilliseconds, 1, Limits.MaxTimeToLive.TotalMilliseconds))
            : null;

        private void Complain(long line, string reason)
        {
            _bad++;
            if (run.Json)
            {
                run.WriteJson(json =>
                {
                    json.WriteNumber("line", line);
                    json.WriteString("error", reason);
                });
            }
            else
            {
                run.Errors.WriteLine($"qs: line {line.ToString(CultureInfo.InvariantCulture)} is left out: {reason}.");
            }
        }

        public int Report()
        {
            if (run.Json)
            {
                run.WriteJson(json =>
                {
                    json.WriteNumber("imported", _records);
                    json.WriteNumber("unchanged", _unchanged);
                    json.WriteNumber("expired", _expired);
                    json.WriteNumber("bad", _bad);
                });
            }
            else
            {
                run.WriteLine($"imported {_records} records, {_unchanged} unchanged, {(_expired > 0 ? $"{_expired} expired, " : "")}{_bad} bad lines left out");
            }

            return _bad == 0 ? ExitCodes.Ok : ExitCodes.Error;
        }
    }
}
