namespace Quicksilver.Simulation.Replication;

/// <summary>
/// A link session between two processes, as <c>LinkSession</c> is one: calls over it are answered, fail, or fail together when it is lost.
/// The caller hears one answer of a call, however many there are.
/// </summary>
internal sealed class Connection
{
    private readonly World _world;
    private readonly SimulatedNode _owner;
    private readonly int _life;
    private readonly Action<Connection> _reset;
    private readonly List<OpenCall> _calls = [];

    /// <param name="life">Which process of the target it leads to: another one does not know it.</param>
    /// <param name="reset">Called where the target says so.</param>
    public Connection(World world, SimulatedNode owner, SimulatedNode target, int life, Action<Connection> reset)
    {
        _world = world;
        _owner = owner;
        _life = life;
        _reset = reset;
        Target = target;
    }

    private sealed class OpenCall(TimeSpan due, Action<string> failed)
    {
        public TimeSpan Due { get; } = due;

        public Action<string> Failed { get; } = failed;
    }

    public SimulatedNode Target { get; }

    public bool IsLost { get; private set; }

    /// <param name="serve">Runs at the target, with what answers.</param>
    public void Call<T>(string what, TimeSpan timeout, Action<SimulatedNode, Action<T>> serve, Action<T> answered, Action<string> failed)
    {
        if (IsLost)
        {
            failed("the link is lost");
            return;
        }

        var call = new OpenCall(_world.Now + timeout, failed);
        _calls.Add(call);
        Ask();
        if (_world.Network.Repeats())
        {
            Ask();
        }

        void Ask() => _world.Network.Send(_owner, Target, $"{_owner.Id} asks {Target.Id}: {what}", () =>
        {
            if (!Target.IsUp || Target.Life != _life)
            {
                _world.Network.Send(Target, _owner, $"{_owner.Id} is reset by {Target.Id}", () =>
                {
                    if (!IsLost)
                    {
                        _reset(this);
                    }
                });
                return;
            }

            serve(Target, answer => _world.Network.Send(Target, _owner, $"{_owner.Id} hears {Target.Id}: {what}", () =>
            {
                if (_calls.Remove(call))
                {
                    answered(answer);
                }
            }));
        });
    }

    /// <summary>Ends the calls that have been open for too long.</summary>
    public void Expire() => Fail(_calls.Where(call => call.Due <= _world.Now).ToList(), "no answer in time");

    public void Lose() => IsLost = true;

    /// <summary>Ends all calls, after it was lost.</summary>
    public void FailCalls() => Fail([.. _calls], "the link was lost");

    private void Fail(List<OpenCall> calls, string why)
    {
        foreach (var call in calls)
        {
            if (_calls.Remove(call))
            {
                call.Failed(why);
            }
        }
    }

    /// <summary>The owner's process has ended: nobody hears anything any more.</summary>
    public void Abandon()
    {
        IsLost = true;
        _calls.Clear();
    }
}
