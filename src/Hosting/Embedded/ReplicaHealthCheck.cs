using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Quicksilver.Hosting;

/// <summary>Unhealthy where <see cref="IQuicksilverReplica.NotReady"/> says why; never for a hub that cannot be reached.</summary>
internal sealed class ReplicaHealthCheck(IQuicksilverReplica replica) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        var data = new Dictionary<string, object>();
        if (replica.Status is { } status)
        {
            data["state"] = status.State;
            data["revision"] = status.Position.Revision.Value;
            if (status.Lag is { } lag)
            {
                data["lag"] = lag;
            }
        }

        return Task.FromResult(replica.NotReady is { } reason
            ? new HealthCheckResult(context.Registration.FailureStatus, reason, data: data)
            : HealthCheckResult.Healthy(data: data));
    }
}
