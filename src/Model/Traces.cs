using System.Diagnostics;

namespace Quicksilver.Model;

/// <summary>
/// The spans of Quicksilver: names, tags, and the one source of them (docs/operations.md, "Traces"). A trace begins with an operation of a client or
/// with a pull, and goes on wherever somebody listens; nothing else begins one. Where nobody listens each of these costs one comparison.
/// </summary>
public static class Traces
{
    /// <summary>What a listener, or <c>AddSource</c> of OpenTelemetry, asks for.</summary>
    public const string SourceName = "Quicksilver";

    /// <summary>Client: one or more keys are read.</summary>
    public const string Get = "quicksilver.get";

    /// <summary>Client: a page of a scan is read.</summary>
    public const string Scan = "quicksilver.scan";

    /// <summary>Client: a key is set.</summary>
    public const string Put = "quicksilver.put";

    /// <summary>Client: a key is removed.</summary>
    public const string Delete = "quicksilver.delete";

    /// <summary>Client: a transaction.</summary>
    public const string Commit = "quicksilver.commit";

    /// <summary>Client: a keyspace is made or deleted.</summary>
    public const string ChangeKeyspace = "quicksilver.keyspace.change";

    /// <summary>Client: one call with the commands, or the keys, of all that wait; it links to them.</summary>
    public const string Call = "quicksilver.call";

    /// <summary>Node: a read is answered.</summary>
    public const string ServeRead = "quicksilver.serve.read";

    /// <summary>Node: commands are taken in.</summary>
    public const string ServeCommit = "quicksilver.serve.commit";

    /// <summary>Node: asks another one, as a region does the hub and a follower the leader; commands as in <see cref="Call"/>.</summary>
    public const string Forward = "quicksilver.forward";

    /// <summary>Leader: commands wait for their Raft entry and its outcome.</summary>
    public const string Sequence = "quicksilver.sequence";

    /// <summary>Leader: one Raft entry, from the proposal until it is committed and applied; it links to the commands of all.</summary>
    public const string Raft = "quicksilver.raft";

    /// <summary>Leader: the entry is applied and its View published.</summary>
    public const string Apply = "quicksilver.apply";

    /// <summary>Replica: a page is asked for; without records it is not recorded.</summary>
    public const string Pull = "quicksilver.pull";

    /// <summary>Source: a page is made, and waited for where there is nothing new.</summary>
    public const string ServePage = "quicksilver.serve.page";

    /// <summary>Replica: a page is applied and its View published.</summary>
    public const string ApplyPage = "quicksilver.apply.page";

    /// <summary>Tags, of the spans that know them.</summary>
    public const string KeyspaceTag = "quicksilver.keyspace";
    public const string KeysTag = "quicksilver.keys";
    public const string CommandsTag = "quicksilver.commands";
    public const string OperationTag = "quicksilver.operation";
    public const string OutcomeTag = "quicksilver.outcome";
    public const string RevisionTag = "quicksilver.revision";
    public const string FromTag = "quicksilver.from";
    public const string ToTag = "quicksilver.to";
    public const string BytesTag = "quicksilver.bytes";
    public const string IndexTag = "quicksilver.index";
    public const string NodeTag = "quicksilver.node";
    public const string RegionTag = "quicksilver.region";

    /// <summary>Most spans that a shared one links to. Source: the default limit of OpenTelemetry.</summary>
    public const int MaxLinks = 128;

    public static readonly ActivitySource Source = new(SourceName);

    /// <summary>The span that this flow is in, where it is one of these; null also where nobody listens.</summary>
    public static Activity? Current => Source.HasListeners() && Activity.Current is { } span && ReferenceEquals(span.Source, Source) ? span : null;

    /// <summary>A span below the current one; null where there is none, so that what nobody traced begins no trace.</summary>
    public static Activity? StartBelow(string name, ActivityKind kind = ActivityKind.Internal) => Current is null ? null : Source.StartActivity(name, kind);

    /// <summary>
    /// A span of work that is done once for several: below the first of them, and with links to all, both ways. Null where none is traced.
    /// </summary>
    public static Activity? StartShared(string name, ActivityKind kind, IEnumerable<Activity?> members)
    {
        var traced = members.OfType<Activity>().Take(MaxLinks).ToList();
        if (traced.Count == 0)
        {
            return null;
        }

        var span = Source.StartActivity(name, kind, traced[0].Context, links: traced.Count == 1 ? null : traced.Select(member => new ActivityLink(member.Context)));
        if (span is not null)
        {
            foreach (var member in traced.Skip(1))
            {
                member.AddLink(new(span.Context));
            }
        }

        return span;
    }

    /// <summary>
    /// For work that must not end because somebody who listens fails: a span that may be missing, and whose beginning and end throw nothing. What is
    /// set on it in between calls nobody.
    /// </summary>
    public static GuardedSpan Guard(Func<Activity?> start)
    {
        try
        {
            return new(start());
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            return default;
        }
    }

    /// <summary>For the filter of an exception: notes that the span ends in it, and is never true.</summary>
    public static bool Fails(this Activity? span, Exception e)
    {
        if (span is not null)
        {
            span.SetStatus(ActivityStatusCode.Error, e.Message);
            span.SetTag("error.type", e is QuicksilverException { Code: var code } ? code.ToString() : e.GetType().FullName);
        }

        return false;
    }
}

/// <summary>See <see cref="Traces.Guard"/>.</summary>
public readonly struct GuardedSpan(Activity? span) : IDisposable
{
    /// <summary>Null where nobody listens.</summary>
    public Activity? Span { get; } = span;

    /// <summary>Ends the span.</summary>
    public void Dispose()
    {
        try
        {
            Span?.Dispose();
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // A listener's fault, which is nothing to what was done.
        }
    }
}
