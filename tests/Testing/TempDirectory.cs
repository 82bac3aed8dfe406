namespace Quicksilver.Testing;

/// <summary>A directory of its own for a test, gone afterwards; with the environment variable <c>QS_KEEP</c> it stays, and with it the logs.</summary>
public sealed class TempDirectory : IDisposable
{
    public TempDirectory() => Path = Directory.CreateTempSubdirectory("quicksilver-test-").FullName;

    public string Path { get; }

    public string Sub(string name) => System.IO.Path.Combine(Path, name);

    public void Dispose()
    {
        if (Environment.GetEnvironmentVariable("QS_KEEP") is not null)
        {
            return;
        }

        try
        {
            Directory.Delete(Path, recursive: true);
        }
        catch (DirectoryNotFoundException)
        {
            // The test moved it.
        }
    }
}
