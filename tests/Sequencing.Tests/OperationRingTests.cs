using CsCheck;
using Quicksilver.Model;

namespace Quicksilver.Sequencing.Tests;

/// <summary>Goal: the ring finds what is in it and nothing else, in every order of coming and going. Method: the same asked of a dictionary.</summary>
public sealed class OperationRingTests
{
    private static RememberedOperation Operation(ulong id) => new(new(new(1), id, id * 3), new((long)id), new(id, 1), new((long)id));

    [Fact]
    public void Random_coming_and_going_is_answered_as_by_a_dictionary() =>
        Gen.Select(Gen.Int[1, 40], Gen.ULong, Gen.Int[0, 2].Array[0, 400]).Sample(t =>
        {
            var (capacity, seed, steps) = t;
            var ring = new OperationRing(capacity, seed);
            var model = new Queue<RememberedOperation>();
            ulong next = 1;
            foreach (var step in steps)
            {
                if (step == 0 ? model.Count > 0 : model.Count == capacity)
                {
                    Assert.Equal(model.Dequeue(), ring.Oldest);
                    ring.RemoveOldest();
                }
                else if (step > 0)
                {
                    var operation = Operation(next++);
                    ring.Add(operation);
                    model.Enqueue(operation);
                }

                Assert.Equal(model.Count, ring.Count);
                for (var id = 1UL; id < next; id++)
                {
                    var expected = model.FirstOrDefault(operation => operation.Id.RandomHigh == id);
                    Assert.Equal((expected != default, expected), (ring.TryFind(Operation(id).Id, out var found), found));
                }
            }
        });

    [Fact]
    public void Ids_that_differ_only_in_their_time_are_two()
    {
        var ring = new OperationRing(4, 1);
        ring.Add(Operation(1));
        Assert.False(ring.TryFind(Operation(1).Id with { IssuedAt = new(2) }, out _));
        Assert.True(ring.TryFind(Operation(1).Id, out _));
    }

    [Fact]
    public void Of_two_with_one_id_the_later_is_found_until_it_is_the_oldest_itself()
    {
        var ring = new OperationRing(4, 1);
        ring.Add(Operation(1));
        var later = Operation(1) with { Revision = new(9) };
        ring.Add(later);
        ring.RemoveOldest();
        Assert.True(ring.TryFind(later.Id, out var found));
        Assert.Equal(later, found);
        ring.RemoveOldest();
        Assert.False(ring.TryFind(later.Id, out _));
    }

    [Fact]
    public void One_more_than_fit_is_refused_and_an_emptied_ring_is_empty()
    {
        var ring = new OperationRing(1, 1);
        ring.Add(Operation(1));
        Assert.Throws<InvalidOperationException>(() => ring.Add(Operation(2)));
        ring.Clear();
        Assert.Equal((0, false), (ring.Count, ring.TryFind(Operation(1).Id, out _)));
        ring.Add(Operation(2));
        Assert.Equal(Operation(2), ring.Oldest);
    }
}
