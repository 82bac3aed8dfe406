namespace Quicksilver.Contracts;

/// <summary>
/// Marks the grain interfaces that callers outside a cluster may use: application clients, tools, and the links of other
/// regions. Every silo refuses calls from outside to any other interface.
/// </summary>
public interface IExternalContract;
