using System.Runtime.CompilerServices;

namespace Quicksilver.Testing;

/// <summary>Polls with a deadline: the one way of tests to wait for what announces itself by no event.</summary>
public static class Eventually
{
    public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    public static Task TrueAsync(
        Func<bool> condition, string what, CancellationToken stop, TimeSpan? deadline = null,
        [CallerFilePath] string file = "", [CallerLineNumber] int line = 0) =>
        TrueAsync(() => Task.FromResult(condition()), what, stop, deadline, file, line);

    public static async Task TrueAsync(
        Func<Task<bool>> condition, string what, CancellationToken stop, TimeSpan? deadline = null,
        [CallerFilePath] string file = "", [CallerLineNumber] int line = 0)
    {
        var limit = deadline ?? Deadline;
        var start = TimeProvider.System.GetTimestamp();
        while (!await condition())
        {
            if (TimeProvider.System.GetElapsedTime(start) > limit)
            {
                throw new TimeoutException($"Waited {limit} for {what} ({Path.GetFileName(file)}:{line}).");
            }

            await Task.Delay(TimeSpan.FromMilliseconds(5), stop);
        }
    }
}
