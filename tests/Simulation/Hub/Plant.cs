namespace Quicksilver.Simulation.Hub;

/// <summary>A bug that is planted, to see that the simulation finds it.</summary>
internal enum Plant
{
    None = 0,

    /// <summary>A new leader does not have the last entry that was committed.</summary>
    LosesCommitted = 1,

    /// <summary>A client makes a new operation id for each try of a write.</summary>
    NewIdForEachTry = 2,

    /// <summary>A member that was started again remembers fewer operation ids than the others.</summary>
    ForgetsAtRestart = 3,

    /// <summary>A client that got no answer says that its write did not happen.</summary>
    DeniesWhatIsUnknown = 4,

    /// <summary>A member lets the second copy of a call in.</summary>
    LetsCopiesIn = 5,
}
