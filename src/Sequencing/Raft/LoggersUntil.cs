using Microsoft.Extensions.Logging;

namespace Quicksilver.Sequencing;

/// <summary>
/// Loggers that fall silent once a member has failed. Until its process has ended, the library says of every request, every round and
/// every change of role, with the whole exception, that the log has failed: tens of lines around the one that counts.
/// </summary>
internal sealed class LoggersUntil(Task<Exception> fault, ILoggerFactory loggers) : ILoggerFactory
{
    public ILogger CreateLogger(string categoryName) => new Until(fault, loggers.CreateLogger(categoryName));

    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException("Providers are added where the loggers were made.");

    public void Dispose()
    {
        // The loggers behind belong to somebody else.
    }

    private sealed class Until(Task fault, ILogger logger) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => logger.BeginScope(state);

        public bool IsEnabled(LogLevel logLevel) => !fault.IsCompleted && logger.IsEnabled(logLevel);

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (!fault.IsCompleted)
            {
                logger.Log(logLevel, eventId, state, exception, formatter);
            }
        }
    }
}
