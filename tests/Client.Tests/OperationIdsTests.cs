using Quicksilver.Model;

namespace Quicksilver.Client.Tests;

/// <summary>Goal: no two ids are equal, whoever asks together. Method: more ids than are made at a time, from several threads.</summary>
public sealed class OperationIdsTests
{
    [Fact]
    public void Ids_of_many_threads_are_all_different_and_carry_their_time()
    {
        var ids = new OperationIds();
        var all = Enumerable.Range(0, 4).AsParallel().SelectMany(_ => Enumerable.Range(0, 2_000).Select(i => ids.Next(new(i + 1)))).ToList();
        Assert.Equal(8_000, all.Select(id => (id.RandomHigh, id.RandomLow)).Distinct().Count());
        Assert.Equal(2_000, all.Max(id => id.IssuedAt.Value));
        Assert.All(all, id => Assert.False(id.RandomHigh == 0 && id.RandomLow == 0));
    }
}
