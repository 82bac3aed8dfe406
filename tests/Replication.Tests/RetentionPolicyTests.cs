using CsCheck;
using Quicksilver.Model;

namespace Quicksilver.Replication.Tests;

/// <summary>
/// Goal: a log is cut by age and by size, never into what the node itself or a child still needs, and a child never fills the disk. Method:
/// the policy alone over a log of numbers, by hand and against its rules for random ones.
/// </summary>
public sealed class RetentionPolicyTests
{
    private const long BytesOfRecord = 10;

    private static readonly RetentionOptions Options = new()
    {
        MaxAge = TimeSpan.FromSeconds(1_000), MaxBytes = 5_000, MaxHoldBytes = 2_000, MinRecords = 100,
    };

    /// <summary>Revision n was written at second n; each record has 10 bytes.</summary>
    private sealed class Log(long oldest, long last, long idle = 0) : IRetainedLog
    {
        public Revision Oldest => new(oldest);

        public Revision Last => new(last);

        public LogTime LogTime => At(last + idle);

        public long BytesFrom(Revision from) => (last - from.Value + 1) * BytesOfRecord;

        public Revision FirstSince(LogTime time) => new(Math.Clamp((time.Value + 999) / 1_000, oldest, last + 1));
    }

    private static LogTime At(long second) => new(second * 1_000);

    private static RetentionHold Child(string name, long from) => new(NodeId.Parse(name), new(from));

    private static long? Oldest(RetentionOptions options, Log log, params RetentionHold[] holds) =>
        RetentionPolicy.Decide(options, log, holds)?.Oldest.Value;

    [Fact]
    public void The_log_is_cut_where_it_is_too_large() => Assert.Equal(501, Oldest(Options, new(1, 1_000)));

    [Fact]
    public void The_log_is_cut_where_it_is_too_old_though_it_is_small() => Assert.Equal(400, Oldest(Options, new(1, 500, idle: 900)));

    [Fact]
    public void What_was_cut_is_not_due_again() => Assert.Null(Oldest(Options, new(300, 500, idle: 700)));

    [Fact]
    public void The_last_records_stay_whatever_their_age_and_size()
    {
        Assert.Equal(901, Oldest(Options, new(1, 1_000, idle: 999_000)));
        Assert.Equal(901, Oldest(Options with { MaxBytes = 1 }, new(1, 1_000)));
        Assert.Null(Oldest(Options with { MaxBytes = 1 }, new(1, 50, idle: 999_000)));
    }

    [Fact]
    public void The_window_of_operation_ids_stays_by_count_and_by_age_whichever_is_less()
    {
        var hub = Options with { MaxBytes = 1, MinRecords = 10, OperationsCount = 300, OperationsAge = TimeSpan.FromSeconds(200) };
        Assert.Equal(800, Oldest(hub, new(1, 1_000)));
        Assert.Equal(701, Oldest(hub with { OperationsAge = TimeSpan.FromSeconds(900) }, new(1, 1_000)));
        Assert.Equal(991, Oldest(hub, new(1, 1_000, idle: 99_000)));
    }

    [Fact]
    public void What_a_child_needs_is_held_up_to_a_limit_and_then_cut_and_named()
    {
        var log = new Log(1, 1_000);
        Assert.Equal(401, Oldest(Options, log, Child("eu-0", 401), Child("us-0", 900)));
        Assert.Null(RetentionPolicy.Decide(Options, log, [Child("eu-0", 401)])!.Waiting);

        // 7,000 bytes are 700 records.
        var cut = RetentionPolicy.Decide(Options, log, [Child("eu-0", 200), Child("us-0", 900)]);
        Assert.Equal(new(new(301), NodeId.Parse("eu-0")), cut);

        // By age alone the limit is far: it is held.
        Assert.Equal(50, Oldest(Options, new(1, 400, idle: 900), Child("eu-0", 50)));
    }

    [Fact]
    public void A_cut_keeps_all_its_rules_whatever_the_log_and_the_children()
    {
        var cuts = 0;
        Gen.Select(Gen.Long[1, 3_000], Gen.Long[0, 3_000], Gen.Long[0, 5_000], Gen.Long[0, 40_000], Gen.Long[0, 20_000], Gen.Long[1, 4_000].Array[0, 3]).Sample(
            (oldest, length, idle, maxBytes, maxHold, froms) =>
            {
                var log = new Log(oldest, oldest + length - 1, idle);
                var options = Options with { MaxBytes = maxBytes, MaxHoldBytes = maxHold, OperationsCount = 150, OperationsAge = TimeSpan.FromSeconds(120) };
                RetentionHold[] holds = [.. froms.Select((from, i) => Child($"c{i}", Math.Clamp(from, oldest, oldest + length)))];
                var now = log.LogTime;
                if (RetentionPolicy.Decide(options, log, holds) is not { } cut)
                {
                    return;
                }

                Interlocked.Increment(ref cuts);
                var first = cut.Oldest.Value;
                Assert.True(first > oldest && first <= oldest + length);
                Assert.True(log.Last.Value - first + 1 >= Math.Min(length, 100), "the window of conditions");
                var young = Enumerable.Range(0, 150).Count(i => now.Value - At(log.Last.Value - i).Value <= options.OperationsAge.TotalMilliseconds);
                Assert.True(log.Last.Value - first + 1 >= Math.Min(length, young), "the window of operation ids");
                var last = first - 1;
                Assert.True(
                    now.Value - At(last).Value > options.MaxAge.TotalMilliseconds || log.BytesFrom(new(last)) > maxBytes, "what was cut was due");
                foreach (var hold in holds)
                {
                    Assert.True(first <= hold.From.Value || log.BytesFrom(new(last)) > maxBytes + maxHold, "what was cut was not held, or the limit was reached");
                    Assert.True(first <= hold.From.Value || cut.Waiting is not null);
                }
            });
        Assert.True(cuts > 20, $"{cuts}");
    }
}
