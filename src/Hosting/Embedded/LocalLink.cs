using Quicksilver.Client;
using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Hosting;

/// <summary>The SDK's way to the node in this process: one session, from <see cref="Open"/> until the link is disposed.</summary>
internal sealed class LocalLink(TimeProvider time) : ILink
{
    private readonly TaskCompletionSource<LinkSession> _up = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _closed = new();

    /// <inheritdoc/>
    public LinkSession? Current => _up.Task.IsCompletedSuccessfully && !_up.Task.Result.Lost.IsCancellationRequested ? _up.Task.Result : null;

    /// <summary>The node is there.</summary>
    public void Open(INodeCalls node, NodeSettings settings) =>
        _up.TrySetResult(new(node, new("", "", settings.NodeId, settings.Region, settings.Role, []), "this process", _closed.Token));

    /// <inheritdoc/>
    public ValueTask<LinkSession> ConnectAsync(TimeSpan timeout, CancellationToken cancellation) =>
        Current is { } session ? new(session) : WaitAsync(timeout, cancellation);

    private async ValueTask<LinkSession> WaitAsync(TimeSpan timeout, CancellationToken cancellation)
    {
        ObjectDisposedException.ThrowIf(_closed.IsCancellationRequested, typeof(QuicksilverReplica));

        try
        {
            return await _up.Task.WaitAsync(timeout, time, cancellation).ConfigureAwait(false);
        }
        catch (TimeoutException e)
        {
            throw QuicksilverReplica.NotStarted(e);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _closed.CancelAsync().ConfigureAwait(false);
        _up.TrySetException(new ObjectDisposedException(nameof(QuicksilverReplica)));
        _ = _up.Task.Exception;
        _closed.Dispose();
    }
}
