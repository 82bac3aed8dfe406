namespace Quicksilver.Model;

/// <summary>
/// Which call of which process a request between nodes is. Orleans sends a message again by itself when its connection dies; with this the
/// receiver tells the second copy from another call.
/// </summary>
/// <param name="Caller">A random number of the calling process; 0 where copies need not be told.</param>
/// <param name="Number">Grows by each call of that process. It has one on its way at a time.</param>
[GenerateSerializer, Immutable, Alias("qs.CallId")]
public readonly record struct CallId([property: Id(0)] ulong Caller, [property: Id(1)] ulong Number);
