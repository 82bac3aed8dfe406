using DotNext.IO;
using DotNext.Net.Cluster.Consensus.Raft;
using Quicksilver.Model;

namespace Quicksilver.Sequencing;

/// <summary>An entry of which only the term is asked for.</summary>
internal readonly struct TermEntry(Term term) : IRaftLogEntry
{
    public long Term => term.Value;

    public long? Length => 0;

    public bool IsReusable => true;

    public ValueTask WriteToAsync<TWriter>(TWriter writer, CancellationToken token)
        where TWriter : IAsyncBinaryWriter => throw new NotSupportedException("Only the term was asked for.");
}
