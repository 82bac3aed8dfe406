using System.Globalization;
using System.Text;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <summary>
/// The file <c>behind</c> of the Raft directory: this member is behind what the others still have of the log, so at its next start it
/// takes the state of another one before it takes part.
/// </summary>
internal static class BehindMark
{
    private const string FileName = "behind";

    /// <summary>The Raft entry that the state must reach, or null where the member is not behind, as far as it knows.</summary>
    public static LogIndex? Read(string directory)
    {
        var path = Path.Combine(directory, FileName);

        // What cannot be read is of no harm: that the member is behind shows again.
        return File.Exists(path) && long.TryParse(File.ReadAllText(path), NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture, out var index)
            ? new LogIndex(index)
            : null;
    }

    public static void Write(string directory, LogIndex atLeast) =>
        DurableFile.Replace(Path.Combine(directory, FileName), Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{atLeast.Value}\n")));

    public static void Delete(string directory) => File.Delete(Path.Combine(directory, FileName));
}
