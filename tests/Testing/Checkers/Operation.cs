using Quicksilver.Model;

namespace Quicksilver.Testing.Checkers;

/// <summary>What a client asked of one key.</summary>
public enum OperationKind
{
    Unspecified = 0,

    /// <summary>Reads value and revision.</summary>
    Get = 1,

    /// <summary>Writes a value, whatever is there.</summary>
    Put = 2,

    /// <summary>Removes the key, whatever is there.</summary>
    Delete = 3,

    /// <summary>Writes a value where the key has the expected revision; <see cref="Revision.None"/> expects that it is not there.</summary>
    PutIf = 4,
}

/// <summary>What became of it.</summary>
public enum OperationResult
{
    Unspecified = 0,

    /// <summary>Done, and what it read or the revision it got is known.</summary>
    Done = 1,

    /// <summary>The condition did not hold; the revision that was there is known.</summary>
    Refused = 2,

    /// <summary>It may have happened, may happen later, or never.</summary>
    Unknown = 3,
}

/// <summary>One operation of a history.</summary>
/// <param name="Client">Who asked.</param>
/// <param name="Key">On what.</param>
/// <param name="Kind">What.</param>
/// <param name="Argument">The value that was to be written; null for others.</param>
/// <param name="Expected">The revision that a <see cref="OperationKind.PutIf"/> expected.</param>
/// <param name="Result">What became of it.</param>
/// <param name="Value">The value that a get answered; null where there was none.</param>
/// <param name="Revision">The revision that a write got, that a get answered, or that stood in the way of a condition.</param>
/// <param name="Called">When it began: any clock that all clients of the history share.</param>
/// <param name="Returned">When its answer was there; no matter where the result is unknown.</param>
public sealed record Operation(
    int Client, string Key, OperationKind Kind, string? Argument, Revision Expected, OperationResult Result, string? Value, Revision Revision, long Called, long Returned);
