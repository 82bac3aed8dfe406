using System.Buffers;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging;
using Quicksilver.Model;

namespace Quicksilver.Sequencing;

/// <summary>
/// This member has no data and at least one other member has: it has lost its disk, and with it what it voted and acknowledged. It
/// must not take part under its old name.
/// </summary>
public sealed class FormationRefusedException(string message) : Exception(message);

/// <summary>
/// Forming a hub is a one-time act: a member without data takes part only after every configured member has said, while this
/// process runs, that it has none either. Members ask each other on their Raft endpoints before Raft listens there. Who asks says
/// of itself that it is empty; so a member that was asked knows, and need not get its own question through before the asker has
/// gone on to Raft.
///
/// Crash safety: the mark that the hub was formed is on disk before this member first takes part. A crash before it leaves an
/// empty member, which the others, once formed, refuse; they need repair it then, because nobody can tell such a member from
/// one that lost its disk.
/// </summary>
internal sealed partial class Formation(NodeId self, IReadOnlyList<HubMember> members, string directory, TimeProvider time, ILogger logger)
{
    private const string MarkName = "formed";
    private const byte Empty = 1;
    private const int MaxBytes = 128;

    private static readonly TimeSpan AskPeriod = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan AskTimeout = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan ReportPeriod = TimeSpan.FromSeconds(10);

    private readonly Lock _gate = new();
    private readonly HashSet<NodeId> _empty = [self];

    private static ReadOnlySpan<byte> Magic => "QSFORM1\n"u8;

    private string MarkPath => Path.Combine(directory, MarkName);

    private IPEndPoint Endpoint => members.First(member => member.Node == self).Endpoint;

    /// <summary>
    /// Returns when this member may take part: at once where it has formed before. Waits for members that do not answer, as long
    /// as it takes. Throws <see cref="FormationRefusedException"/> where another member has data and this one has not, and
    /// <see cref="NeedsRepairException"/> where the store has data and the Raft directory was lost.
    /// </summary>
    public async Task EnsureAsync(LogIndex applied, CancellationToken cancellation)
    {
        if (File.Exists(MarkPath))
        {
            return;
        }

        if (applied != LogIndex.None)
        {
            throw NeedsRepairException.LogLost(applied, LogIndex.None);
        }

        if (members.Count > 1)
        {
            await AgreeAsync(cancellation).ConfigureAwait(false);
        }

        Mark();
    }

    private async Task AgreeAsync(CancellationToken cancellation)
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
                await Task.WhenAll(missing.Select(member => AskAsync(member, done.Token))).ConfigureAwait(false);
                if (time.GetElapsedTime(reported) > ReportPeriod)
                {
                    reported = time.GetTimestamp();
                    LogWaiting(string.Join(", ", Missing().Select(member => member.Node)));
                }

                await Task.Delay(AskPeriod, time, done.Token).ConfigureAwait(false);
            }
        }
        finally
        {
            await done.CancelAsync().ConfigureAwait(false);
            listener.Stop();
            await answering.ConfigureAwait(false);
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

    /// <summary>Asks one member; what does not answer is asked again later.</summary>
    private async Task AskAsync(HubMember member, CancellationToken cancellation)
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
            return;
        }

        if (answered == member.Node)
        {
            NoteEmpty(member.Node);
        }
        else if (Missing().Exists(other => other.Node == member.Node))
        {
            // It listens and speaks another language: it has formed already, and has not asked this member.
            throw new FormationRefusedException(
                $"This member has no data, but '{member.Node}' at {member.Endpoint} belongs to a hub that was formed already. A member that lost its disk must not vote again under its name: its data must be rebuilt from the others.");
        }
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

    /// <summary>Order matters: on disk before this member first takes part. O_SYNC reports what a flush would hide.</summary>
    private void Mark()
    {
        Directory.CreateDirectory(directory);
        var partial = MarkPath + ".partial";
        using (var file = new FileStream(partial, FileMode.Create, FileAccess.Write, FileShare.None, 1, FileOptions.WriteThrough))
        {
            file.Write(Encoding.ASCII.GetBytes(string.Join('\n', members.Select(member => $"{member.Node}={member.Endpoint}")) + "\n"));
        }

        File.Move(partial, MarkPath, overwrite: true);
        LogFormed(members.Count);
    }

    [LoggerMessage(1, LogLevel.Information, "Waiting to form the hub: no answer yet from {Missing}.")]
    private partial void LogWaiting(string missing);

    [LoggerMessage(2, LogLevel.Information, "All {Count} members are empty: the hub is formed.")]
    private partial void LogFormed(int count);
}
