namespace Quicksilver.Simulation.Replication;

/// <summary>A bug that is planted, to see that the simulation finds it.</summary>
internal enum Plant
{
    None = 0,

    /// <summary>A driver applies some pages twice, to a store that takes a record that it has for good.</summary>
    AppliesTwice = 1,

    /// <summary>A source leaves out a record now and then, and replicas believe what a page says of itself.</summary>
    SkipsARecord = 2,

    /// <summary>A replica does not compare chains.</summary>
    TakesChainsOnTrust = 3,

    /// <summary>A copy is put in place, and then the state before it is shown again.</summary>
    ShowsTheOldStateAgain = 4,

    /// <summary>A node that has a relay pulls from the hub beside.</summary>
    AlsoPullsFromTheHub = 5,

    /// <summary>A replica never hears that its session was lost.</summary>
    NeverReopens = 6,

    /// <summary>A replica stays with the source it has, however good another is.</summary>
    NeverLooks = 7,

    /// <summary>After a loss of power the position is there, and the records that led to it are not.</summary>
    KeepsThePositionAlone = 8,
}
