using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using Quicksilver.Client;
using Quicksilver.Model;

namespace Quicksilver.Cli;

/// <summary>What one run of a command works with: the client, and where results and messages go.</summary>
internal sealed class Invocation : IAsyncDisposable
{
    private static readonly JsonWriterOptions JsonOptions = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly Stream _output;
    private readonly Lazy<QuicksilverClient> _client;

    public Invocation(IReadOnlyList<string> gateways, bool json, TimeSpan deadline, Stream output, TextWriter errors, CancellationToken cancellation)
    {
        Gateways = gateways;
        Json = json;
        Deadline = deadline;
        Errors = errors;
        Cancellation = cancellation;
        _output = output;
        _client = new(() =>
        {
            var options = new QuicksilverClientOptions { Deadline = Deadline };
            foreach (var gateway in gateways)
            {
                options.Gateways.Add(gateway);
            }

            return new(options, TimeProvider.System, NullLoggerFactory.Instance);
        });
    }

    public IReadOnlyList<string> Gateways { get; }

    /// <summary>One JSON object per line on standard output, and nothing else there.</summary>
    public bool Json { get; }

    /// <summary>How long one operation may take; to be set before the client is used.</summary>
    public TimeSpan Deadline { get; set; }

    public TextWriter Errors { get; }

    public CancellationToken Cancellation { get; }

    public IQuicksilverClient Client => _client.Value;

    public Stream Output => _output;

    public ClusterInspector Inspector => new(Gateways, TimeProvider.System, NullLoggerFactory.Instance);

    public HubAdministrator HubAdministrator => new(Gateways, TimeProvider.System, NullLoggerFactory.Instance);

    public void WriteLine(string text)
    {
        _output.Write(System.Text.Encoding.UTF8.GetBytes(text + "\n"));
        _output.Flush();
    }

    public void WriteJson(Action<Utf8JsonWriter> write)
    {
        using (var writer = new Utf8JsonWriter(_output, JsonOptions))
        {
            writer.WriteStartObject();
            write(writer);
            writer.WriteEndObject();
        }

        _output.WriteByte((byte)'\n');
        _output.Flush();
    }

    /// <summary>Says how a commit ended; returns the exit code.</summary>
    public int Report(CommitResult result, string done)
    {
        var outcome = result.Status switch
        {
            CommitStatus.Committed => "committed",
            CommitStatus.Unchanged => "unchanged",
            _ => "conditionFailed",
        };
        if (Json)
        {
            WriteJson(json =>
            {
                json.WriteString("outcome", outcome);
                json.WriteNumber(result.Status == CommitStatus.ConditionFailed ? "actualRevision" : "revision", result.Revision.Value);
                json.WriteString("operationId", result.OperationId.ToString());
            });
        }
        else
        {
            WriteLine(result.Status switch
            {
                CommitStatus.Committed => $"{done} at revision {result.Revision}",
                CommitStatus.Unchanged => $"unchanged (judged at revision {result.Revision})",
                _ => result.Revision == Revision.None ? "condition failed: the key does not exist" : $"condition failed: the key is at revision {result.Revision}",
            });
        }

        return result.Status == CommitStatus.ConditionFailed ? ExitCodes.ConditionFailed : ExitCodes.Ok;
    }

    public async ValueTask DisposeAsync()
    {
        if (_client.IsValueCreated)
        {
            await _client.Value.DisposeAsync();
        }
    }
}
