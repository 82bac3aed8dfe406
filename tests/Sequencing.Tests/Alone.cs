namespace Quicksilver.Sequencing.Tests;

/// <summary>For tests that trace this process: they run when no other does, or they would slow the others down.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Alone
{
    public const string Name = "alone";
}
