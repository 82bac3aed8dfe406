namespace Quicksilver.Grains.Tests;

/// <summary>For tests that measure time: they run when no other does, or they would measure the others.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Alone
{
    public const string Name = "alone";
}
