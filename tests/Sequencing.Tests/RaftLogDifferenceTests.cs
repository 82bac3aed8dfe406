using System.Net;
using DotNext.IO.Log;
using DotNext.Net.Cluster;
using DotNext.Net.Cluster.Consensus.Raft;
using Quicksilver.Model;
using Quicksilver.Storage;
using Quicksilver.Testing;

namespace Quicksilver.Sequencing.Tests;

/// <summary>
/// Goal: our Raft log answers as the library's does, made durable. Method: the same random operations on both, with orderly stops and
/// with crashes, where a copy of the files as they are at that moment is opened; everything that can be asked is compared.
/// </summary>
public sealed class RaftLogDifferenceTests : IDisposable
{
    private readonly TempDirectory _directory = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 12)];

    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task Both_logs_answer_alike_whatever_is_asked_and_however_often_they_are_closed_or_crash(int seed)
    {
        var random = new Random(seed);
        var logs = new[] { new Subject(_directory, RaftLogKind.Database), new Subject(_directory, RaftLogKind.Files) };
        var model = new Model();
        try
        {
            foreach (var log in logs)
            {
                await log.OpenAsync(Stop);
            }

            for (var step = 0; step < 80; step++)
            {
                var (name, operation) = Next(random, model);
                var answers = new List<string>();
                foreach (var log in logs)
                {
                    await operation(log);
                    answers.Add(await log.DescribeAsync(Stop));
                }

                Assert.True(answers[0] == answers[1], $"Seed {seed}, step {step}, {name}: {answers[0]} / {answers[1]}");
                Assert.Equal(model.Terms, await logs[0].TermsAsync(Stop));
            }
        }
        finally
        {
            foreach (var log in logs)
            {
                await log.CloseAsync();
            }
        }
    }

    private static (string Name, Func<Subject, Task> Operation) Next(Random random, Model model)
    {
        switch (random.Next(12))
        {
            case 0:
                return ("stop", log => log.ReopenAsync(crash: false, Stop));
            case 1:
                return ("crash", log => log.ReopenAsync(crash: true, Stop));
            case 2:
                var candidate = ClusterMemberId.FromEndPoint(new IPEndPoint(IPAddress.Loopback, random.Next(1, 4)));
                model.Term++;
                return ("candidacy", async log => await log.Log.IncrementTermAsync(candidate, Stop));
            case 3:
                var voted = ClusterMemberId.FromEndPoint(new IPEndPoint(IPAddress.Loopback, random.Next(1, 4)));
                return ("vote", async log => await log.Log.UpdateVotedForAsync(voted, Stop));
            case 4 or 5 or 6:
                return Lead(random.Next(1, 4), model);
            case 7:
                model.Committed = random.Next(model.Committed, model.Agreed + 1);
                var commit = model.Committed;
                return ($"commit {commit}", async log => await log.Log.CommitAsync(commit, Stop));
            default:
                return Follow(random, model);
        }
    }

    /// <summary>The member begins to lead, in a new term, and appends some commands.</summary>
    private static (string Name, Func<Subject, Task> Operation) Lead(int commands, Model model)
    {
        var term = ++model.Term;
        model.Terms.AddRange(Enumerable.Repeat(term, commands + 1));
        var last = model.Agreed = model.Terms.Count;
        return ($"lead {term} to {last}", async log =>
        {
            await log.Log.UpdateTermAsync(term, resetLastVote: true, Stop);
            await log.Log.AppendAsync(new EmptyLogEntry { Term = term }, Stop);
            for (var i = 0; i < commands; i++)
            {
                await log.Log.AppendAsync(new BinaryLogEntry { Content = Content(term, i), Term = term, CommandId = 99 }, Stop);
            }

            await Assert.ThrowsAsync<StaleLeadershipException>(
                async () => await log.Log.AppendAsync(new BinaryLogEntry { Content = Content(term, 0), Term = term - 1, CommandId = 99 }, Stop));

            // Only what is on the disk is there after a crash: a leader's own entries are when they are committed.
            await log.FlushAsync(last, Stop);
        });
    }

    /// <summary>A leader sends entries: new ones, known ones, or others in the place of uncommitted ones.</summary>
    private static (string Name, Func<Subject, Task> Operation) Follow(Random random, Model model)
    {
        var start = random.Next(Math.Max(1, model.Committed - 3), model.Terms.Count + 2);
        var terms = model.Terms.Skip(start - 1).Take(random.Next(0, 4)).ToList();
        var known = terms.Count;
        if (start + known - 1 >= model.Committed && random.Next(3) > 0)
        {
            var term = ++model.Term;
            terms.AddRange(Enumerable.Repeat(term, random.Next(1, 5)));
            model.Terms.RemoveRange(start - 1 + known, model.Terms.Count - (start - 1 + known));
            model.Terms.AddRange(terms.Skip(known));
        }

        var now = model.Term;
        model.Agreed = Math.Max(start + terms.Count - 1, model.Committed);
        return ($"follow from {start}: {string.Join(',', terms)}", async log =>
        {
            await log.Log.UpdateTermAsync(now, resetLastVote: true, Stop);
            await log.Log.AppendAsync(new Request(terms), start, skipCommitted: true, Stop);
        });
    }

    private static byte[] Content(long term, int number)
    {
        var content = new byte[(term * 37 % 200) + number];
        Array.Fill(content, (byte)term);
        return content;
    }

    public void Dispose() => _directory.Dispose();

    private sealed class Model
    {
        public long Term { get; set; }

        public List<long> Terms { get; } = [];

        public int Committed { get; set; }

        /// <summary>The last entry that is the present leader's.</summary>
        public int Agreed { get; set; }
    }

    /// <summary>One log with its store.</summary>
    private sealed class Subject(TempDirectory directory, RaftLogKind kind)
    {
        private int _life;
        private DataDirectory? _data;
        private NodeStore? _store;

        public IRaftLog Log { get; private set; } = null!;

        private string Path => directory.Sub($"{kind}-{_life}");

        public async Task OpenAsync(CancellationToken stop)
        {
            _data = DataDirectory.Take(Path);
            _store = NodeStore.Open(_data, new() { Node = NodeId.Parse("hub-0") });
            var machine = new HubStateMachine(_store, new(_store, OperationWindow.Default), new(), _ => { });
            Log = kind == RaftLogKind.Files
                ? new DurableWriteAheadLog(
                    new() { Location = _data.RaftPath, ChunkSize = 1 << 20, HashAlgorithm = DotNext.Net.Cluster.Consensus.Raft.StateMachine.WriteAheadLog.IntegrityHashAlgorithm.XxHash3 }, machine)
                : new RaftLog(new() { Location = System.IO.Path.Combine(_data.RaftPath, "library") }, RaftLogStore.Open(_store, _data.RaftPath), _store, machine);
            (Log as RaftLog)?.Load();
            await Log.InitializeAsync(stop);
        }

        public async Task FlushAsync(long last, CancellationToken stop)
        {
            if (Log is DurableWriteAheadLog files)
            {
                await files.FlushAsync(stop);
            }
            else
            {
                await ((RaftLog)Log).FlushedAsync(new(last), stop);
            }
        }

        public async Task ReopenAsync(bool crash, CancellationToken stop)
        {
            var before = Path;
            if (crash)
            {
                _life++;
                FileTree.Copy(before, Path);
                _life--;
            }

            await CloseAsync();
            _life += crash ? 1 : 0;
            await OpenAsync(stop);
        }

        public async Task CloseAsync()
        {
            await (Log?.DisposeAsync() ?? ValueTask.CompletedTask);
            _store?.Dispose();
            _data?.Dispose();
        }

        public async Task<List<long>> TermsAsync(CancellationToken stop) =>
            [.. (await Log.ReadAsync(new Reader(), 1, Log.LastEntryIndex, stop)).Select(entry => entry.Term)];

        public async Task<string> DescribeAsync(CancellationToken stop)
        {
            var entries = await Log.ReadAsync(new Reader(), 1, Log.LastEntryIndex, stop);
            var votes = string.Concat(Enumerable.Range(1, 3).Select(port => Log.IsVotedFor(ClusterMemberId.FromEndPoint(new IPEndPoint(IPAddress.Loopback, port))) ? '1' : '0'));
            return $"term {Log.Term} votes {votes} last {Log.LastEntryIndex}: {string.Join(' ', entries)}";
        }
    }

    private sealed record Entry(long Term, int? CommandId, bool IsConfiguration, ChainHash Digest);

    private sealed class Reader : ILogEntryConsumer<IRaftLogEntry, List<Entry>>
    {
        public async ValueTask<List<Entry>> ReadAsync<TEntry, TList>(TList entries, long? snapshotIndex, CancellationToken token)
            where TEntry : IRaftLogEntry
            where TList : IReadOnlyList<TEntry>
        {
            var read = new List<Entry>();
            foreach (var entry in entries)
            {
                read.Add(new(entry.Term, entry.CommandId, entry.IsConfiguration, ChainHash.DigestOf(await DotNext.IO.DataTransferObject.ToByteArrayAsync(entry, null, token))));
            }

            return read;
        }
    }

    private sealed class Request(List<long> terms) : ILogEntryProducer<BinaryLogEntry>
    {
        private int _next;

        public long RemainingCount => terms.Count - _next;

        public BinaryLogEntry Current => new() { Content = Content(terms[_next - 1], _next), Term = terms[_next - 1], CommandId = _next % 3 == 0 ? null : 99 };

        public ValueTask<bool> MoveNextAsync() => new(_next++ < terms.Count);

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
