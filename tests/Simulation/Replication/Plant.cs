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

    /// <summary>A source leaves out a record that the child has asked for, now and then.</summary>
    FiltersOneTooMany = 9,

    /// <summary>The rows of a copy of keyspaces to add are of a later revision than it says.</summary>
    CopiesALaterState = 10,

    /// <summary>A replica that is to hold fewer keyspaces says so and keeps the rows.</summary>
    KeepsWhatItLetGo = 11,

    /// <summary>A page that ends between two records of a part says that there is nothing more for the child up to the end of the log.</summary>
    ReachesTooFar = 12,

    /// <summary>A source does not look whether it holds what it is asked for.</summary>
    ServesWhatItLacks = 13,

    /// <summary>A source sends all keyspaces to whoever asked for some, and replicas take what comes.</summary>
    SendsEverything = 14,

    /// <summary>A replica that is to hold more keyspaces goes on as if it held them.</summary>
    ForgetsToAdd = 15,
}
