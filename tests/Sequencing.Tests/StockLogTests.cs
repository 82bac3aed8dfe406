using System.Net;
using DotNext.Net.Cluster.Consensus.Raft;
using DotNext.Net.Cluster.Consensus.Raft.StateMachine;
using Quicksilver.Testing;

namespace Quicksilver.Sequencing.Tests;

/// <summary>
/// Goal: the audit of acknowledgements finds one that is early. Method: the library's log as it comes, whose followers answer from
/// memory, under the same audit that our log must pass (DurableBeforeAnswerTests).
/// </summary>
[Collection(Alone.Name)]
public sealed class StockLogTests : IDisposable
{
    private readonly TempDirectory _directory = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_librarys_own_log_answers_before_its_disk_has_what_it_acknowledges_and_the_audit_finds_it()
    {
        var addresses = Enumerable.Range(0, 3).Select(_ => new IPEndPoint(IPAddress.Loopback, Ports.Free())).ToList();
        var members = addresses.Select(address => Start(address, addresses)).ToList();
        try
        {
            await Task.WhenAll(members.Select(member => member.Cluster.StartAsync(Stop)));
            await Eventually.TrueAsync(() => members.Exists(Leads), "a leader", Stop);
            var leader = members.Find(Leads).Cluster;
            var follower = addresses[members.FindIndex(member => !Leads(member))];
            await using var trace = await SyscallTrace.AttachAsync(Environment.ProcessId, _directory.Sub("trace"), follower.Port, _directory.Sub($"{follower.Port}"), Stop);
            var number = 0;
            await Eventually.TrueAsync(
                async () =>
                {
                    for (var i = 0; i < 20; i++)
                    {
                        await leader.ReplicateAsync(
                            new BinaryLogEntry { Content = System.Text.Encoding.ASCII.GetBytes(SyscallTrace.Mark(++number)), Term = leader.Term }, Stop);
                    }

                    return trace.Read().Early > 0;
                },
                "an acknowledgement that is early", Stop, TimeSpan.FromSeconds(60));
        }
        finally
        {
            foreach (var (cluster, log) in members)
            {
                await cluster.StopAsync(CancellationToken.None);
                await cluster.DisposeAsync();
                await log.DisposeAsync();
            }
        }
    }

    private static bool Leads((RaftCluster Cluster, WriteAheadLog Log) member) => !member.Cluster.LeadershipToken.IsCancellationRequested;

    private (RaftCluster Cluster, WriteAheadLog Log) Start(IPEndPoint self, List<IPEndPoint> all)
    {
        var configuration = new RaftCluster.TcpConfiguration(self) { PublicEndPoint = self, ConfigurationStorage = null!, ColdStart = false, LowerElectionTimeout = 500, UpperElectionTimeout = 1_000 };
        var members = ((DotNext.Net.Cluster.Consensus.Raft.Membership.InMemoryClusterConfigurationStorage<EndPoint>)configuration.ConfigurationStorage).CreateInitialConfigurationBuilder();
        all.ForEach(member => members.Add(member));
        members.Build();
        var log = new WriteAheadLog(
            new() { Location = _directory.Sub($"{self.Port}/raft"), ChunkSize = 1 << 20, MemoryManagement = WriteAheadLog.MemoryManagementStrategy.PrivateMemory },
            IStateMachine.CreateNoOp());
        return (new(configuration) { AuditTrail = log }, log);
    }

    public void Dispose() => _directory.Dispose();
}
