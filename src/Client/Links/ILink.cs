using Quicksilver.Model;

namespace Quicksilver.Client;

/// <summary>Where calls get their session from: a port, so that a test can own how sessions come and go.</summary>
public interface ILink : IAsyncDisposable
{
    /// <summary>The session, or null while there is none.</summary>
    LinkSession? Current { get; }

    /// <summary>
    /// Waits for a session. Throws <see cref="QuicksilverException"/> with the outcome NotCommitted when
    /// <paramref name="timeout"/> passes first: nothing was sent then.
    /// </summary>
    ValueTask<LinkSession> ConnectAsync(TimeSpan timeout, CancellationToken cancellation);
}
