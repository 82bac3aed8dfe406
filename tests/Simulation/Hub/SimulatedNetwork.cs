using Quicksilver.Model;

namespace Quicksilver.Simulation.Hub;

/// <summary>
/// The way from clients to members: a question arrives late, twice or never, the answer likewise; a link that is lost, or whose member's
/// process ends, says so sooner or later.
/// </summary>
internal sealed class SimulatedNetwork(Simulator simulator)
{
    /// <summary>No more faults: every question arrives once, soon.</summary>
    public bool IsHealed { get; set; }

    /// <param name="call">Which try of which client: each is another.</param>
    /// <param name="answered">Called at most once; exactly one of this and <paramref name="lost"/> is called.</param>
    public void Commit(SimulatedMember member, CallId call, ReadOnlyMemory<byte> command, Action<CommitOutcome> answered, Action lost)
    {
        var isOver = false;
        var life = member.Life;
        Deliver();
        if (!IsHealed && simulator.Chance(0.05))
        {
            // Orleans sends a message again when its connection was lost.
            Deliver();
        }

        void Deliver()
        {
            if (IsLost())
            {
                Lose(100);
                return;
            }

            simulator.After(Delay(), "command arrives", () =>
            {
                // Another process has another address.
                if (!member.IsUp || member.Life != life)
                {
                    Lose(1);
                    return;
                }

                member.Commit(call, [command], outcomes =>
                {
                    if (outcomes is null || IsLost())
                    {
                        Lose(100);
                        return;
                    }

                    simulator.After(Delay(), "answer arrives", () => End(() => answered(outcomes[0])));
                });
            });
        }

        void Lose(double atLeast) => simulator.After(simulator.Between(atLeast, 6_000), "link is lost", () => End(lost));

        void End(Action end)
        {
            if (!isOver)
            {
                isOver = true;
                end();
            }
        }
    }

    /// <summary>Something that has no effect and may be asked again: lost questions are not answered.</summary>
    public void Ask(SimulatedMember member, Action ask) => simulator.After(Delay(), "question arrives", () =>
    {
        if (member.IsUp && !IsLost())
        {
            ask();
        }
    });

    public TimeSpan Delay() => IsHealed ? TimeSpan.FromMilliseconds(1) : simulator.Between(0.1, simulator.Chance(0.02) ? 12_000 : 10);

    private bool IsLost() => !IsHealed && simulator.Chance(0.03);
}
