using System.Buffers;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <summary>
/// This member has no data and at least one other member has: it has lost its disk, and with it what it voted and acknowledged. It
/// must not take part under its old name.
/// </summary>
public sealed class FormationRefusedException(string message) : Exception(message);

/// <summary>With what a hub node comes to its hub.</summary>
internal enum MemberStanding
{
    Unspecified = 0,

    /// <summary>It remembers what it voted: it takes part.</summary>
    Member = 1,

    /// <summary>It has nothing, or the beginning of a copy, and the hub was formed already: it can only join as a new member.</summary>
    Newcomer = 2,

    /// <summary>It has state and has lost what it voted.</summary>
    Forgetful = 3,
}

/// <summary>
/// Forming a hub is a one-time act: a member without data takes part only after every configured member has said, while this
/// process runs, that it has none either. Members ask each other on their Raft endpoints before Raft listens there. Who asks says
/// of itself that it is empty; so a member that was asked knows, and need not get its own question through before the asker has
/// gone on to Raft.
///
/// Crash safety: the list of members is on disk before this member first takes part. A crash before it leaves an empty member, which
/// the others, once formed, refuse; it needs repair then, because nobody can tell such a member from one that lost its disk.
/// </summary>
internal sealed partial class Formation(NodeId self, IReadOnlyList<HubMember> members, MemberStorage storage, TimeProvider time, ILogger logger)
{
    private const byte Empty = 1;
    private const int MaxBytes = 128;

    private static readonly TimeSpan AskPeriod = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan AskTimeout = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan ReportPeriod = TimeSpan.FromSeconds(10);

    private readonly Lock _gate = new();
    private readonly HashSet<NodeId> _empty = [self];

    private static ReadOnlySpan<byte> Magic => "QSFORM1\n"u8;

    private IPEndPoint Endpoint => members.First(member => member.Node == self).Endpoint;

    /// <summary>
    /// Finds out how this node stands to its hub, and forms the hub where that was not done before. Waits for members that do not
    /// answer, as long as it takes.
    /// </summary>
    public async Task<MemberStanding> JudgeAsync(StoreProgress progress, CancellationToken cancellation)
    {
        if (storage.Contains(self))
        {
            return MemberStanding.Member;
        }

        if (progress.AppliedIndex != LogIndex.None)
        {
            return MemberStanding.Forgetful;
        }

        if (!progress.Cluster.IsNone || storage.Members is not null || (members.Count > 1 && !await AgreeAsync(cancellation).ConfigureAwait(false)))
        {
            return MemberStanding.Newcomer;
        }

        storage.Form();
        LogFormed(members.Count);
        return MemberStanding.Member;
    }

    /// <summary>True when all members have said that they are empty; false where one of them was formed without this one.</summary>
    private async Task<bool> AgreeAsync(CancellationToken cancellation)
    {
        using var listener = new TcpListener(Endpoint);
        listener.Start();
        using var done = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var answering = AnswerAsync(listener, done.Token);
        try
        {
            var reported = time.GetTimestamp();
            while (Missing() is { Count: > 0 } missing)
            {
                var answers = await Task.WhenAll(missing.Select(member => AskAsync(member, done.Token))).ConfigureAwait(false);
                if (Array.Find(answers, answer => answer is not null) is { } formed)
                {
                    LogFormedWithout(formed.Node, formed.Endpoint);
                    return false;
                }

                if (time.GetElapsedTime(reported) > ReportPeriod)
                {
                    reported = time.GetTimestamp();
                    LogWaiting(string.Join(", ", Missing().Select(member => member.Node)));
                }

                await Task.Delay(AskPeriod, time, done.Token).ConfigureAwait(false);
            }

            return true;
        }
        finally
        {
            // Order matters: who answers is told to end, and has ended, before the listener is taken from under it.
            await done.CancelAsync().ConfigureAwait(false);
            await answering.ConfigureAwait(false);
            listener.Stop();
        }
    }

    private List<HubMember> Missing()
    {
        lock (_gate)
        {
            return [.. members.Where(member => !_empty.Contains(member.Node))];
        }
    }

    private void NoteEmpty(NodeId node)
    {
        lock (_gate)
        {
            if (members.Any(member => member.Node == node))
            {
                _empty.Add(node);
            }
        }
    }

    /// <summary>Asks one member; what does not answer is asked again later. Returns it where it was formed already.</summary>
    private async Task<HubMember?> AskAsync(HubMember member, CancellationToken cancellation)
    {
        using var limit = new CancellationTokenSource(AskTimeout, time);
        using var bound = CancellationTokenSource.CreateLinkedTokenSource(cancellation, limit.Token);
        NodeId? answered;
        try
        {
            using var client = new TcpClient { NoDelay = true };
            await client.ConnectAsync(member.Endpoint, bound.Token).ConfigureAwait(false);
            await client.GetStream().WriteAsync(Message(), bound.Token).ConfigureAwait(false);
            answered = await ReadAsync(client.GetStream(), bound.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is SocketException or IOException or OperationCanceledException)
        {
            // Nobody there, or on the way from here to Raft.
            return null;
        }

        if (answered == member.Node)
        {
            NoteEmpty(member.Node);
            return null;
        }

        // It listens and speaks another language: it has formed already, and has not asked this member.
        return Missing().Exists(other => other.Node == member.Node) ? member : null;
    }

    private async Task AnswerAsync(TcpListener listener, CancellationToken cancellation)
    {
        try
        {
            while (true)
            {
                using var client = await listener.AcceptTcpClientAsync(cancellation).ConfigureAwait(false);
                using var limit = new CancellationTokenSource(AskTimeout, time);
                using var bound = CancellationTokenSource.CreateLinkedTokenSource(cancellation, limit.Token);
                try
                {
                    if (await ReadAsync(client.GetStream(), bound.Token).ConfigureAwait(false) is { } asker)
                    {
                        await client.GetStream().WriteAsync(Message(), bound.Token).ConfigureAwait(false);
                        NoteEmpty(asker);
                    }
                }
                catch (Exception e) when (e is SocketException or IOException || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
                {
                    // The asker is gone, or is none.
                }
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // All is known, or the process stops.
        }
    }

    /// <summary>"I am this member, and empty": question and answer alike.</summary>
    private byte[] Message()
    {
        var writer = new ByteWriter(MaxBytes);
        writer.WriteRaw(Magic);
        writer.WriteByte(Empty);
        writer.WriteBytes(Encoding.ASCII.GetBytes(self.Value));
        return writer.ToArray();
    }

    /// <summary>Who the other side says it is, where it says that it is empty; null where it speaks something else.</summary>
    private static async Task<NodeId?> ReadAsync(NetworkStream stream, CancellationToken cancellation)
    {
        var buffer = new byte[MaxBytes];
        for (var length = 0; length < buffer.Length;)
        {
            var read = await stream.ReadAsync(buffer.AsMemory(length), cancellation).ConfigureAwait(false);
            length += read;
            switch (TryParse(buffer.AsSpan(0, length), out var node))
            {
                case OperationStatus.Done:
                    return node;
                case OperationStatus.InvalidData:
                    return null;
            }

            if (read == 0)
            {
                return null;
            }
        }

        return null;
    }

    private static OperationStatus TryParse(ReadOnlySpan<byte> received, out NodeId? node)
    {
        node = null;
        var magic = Math.Min(received.Length, Magic.Length);
        if (!received[..magic].SequenceEqual(Magic[..magic]))
        {
            return OperationStatus.InvalidData;
        }

        if (received.Length < Magic.Length + 2 || received.Length < Magic.Length + 2 + received[Magic.Length + 1])
        {
            return OperationStatus.NeedMoreData;
        }

        var name = Encoding.ASCII.GetString(received.Slice(Magic.Length + 2, received[Magic.Length + 1]));
        if (received[Magic.Length] != Empty || !NodeId.TryParse(name, out var parsed))
        {
            return OperationStatus.InvalidData;
        }

        node = parsed;
        return OperationStatus.Done;
    }

    [LoggerMessage(1, LogLevel.Information, "Waiting to form the hub: no answer yet from {Missing}.")]
    private partial void LogWaiting(string missing);

    [LoggerMessage(2, LogLevel.Information, "All {Count} members are empty: the hub is formed.")]
    private partial void LogFormed(int count);

    [LoggerMessage(3, LogLevel.Warning, "This node has no data, and '{Node}' at {Endpoint} belongs to a hub that was formed already.")]
    private partial void LogFormedWithout(NodeId node, IPEndPoint endpoint);
}
