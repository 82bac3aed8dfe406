using Orleans.Runtime;
using Quicksilver.Contracts;

namespace Quicksilver.Hosting;

/// <summary>
/// Lets callers from outside the cluster reach only interfaces marked <see cref="IExternalContract"/>, and the few of the
/// runtime that every client needs. Defence in depth: network policy and TLS are the boundary.
/// </summary>
internal sealed class ExternalCallerFilter : IIncomingGrainCallFilter
{
    private static readonly HashSet<string> RuntimeInterfaces =
    [
        "Orleans.Runtime.IClusterManifestSystemTarget",
        "Orleans.Runtime.IGrainCallCancellationExtension",
        "Orleans.Runtime.IAsyncEnumerableGrainExtension",
    ];

    public Task Invoke(IIncomingGrainCallContext context)
    {
        // "hosted-..." is this cluster's own co-hosted client.
        var external = context.SourceId is { } source && source.IsClient()
            && !source.Key.ToString()!.StartsWith("hosted-", StringComparison.Ordinal);
        if (external && context.InterfaceMethod.DeclaringType is { } type && !IsOpen(type))
        {
            throw new UnauthorizedAccessException($"{type.Name} is not open to callers from outside the cluster.");
        }

        return context.Invoke();
    }

    internal static bool IsOpen(Type type) =>
        typeof(IExternalContract).IsAssignableFrom(type) || RuntimeInterfaces.Contains(type.FullName ?? "");
}
