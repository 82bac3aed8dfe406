using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Quicksilver.Local;

/// <summary>Processes of nodes, by process id: they outlive whoever started them.</summary>
internal static partial class NodeProcess
{
    private const int SigKill = 9;
    private const int SigTerm = 15;
    private const int SigCont = 18;
    private const int SigStop = 19;

    /// <summary>
    /// Starts the executable with its output in a file, in a session of its own, so that no signal of this terminal reaches it.
    /// Returns its process id.
    /// </summary>
    public static int Start(string executable, IEnumerable<string> arguments, string log)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(log)!);

        // The shell becomes the node: its process id is the node's, and the file is open before anything can be written.
        var start = new ProcessStartInfo("setsid", ["sh", "-c", "exec \"$0\" \"$@\" >> \"$QS_LOG\" 2>&1 < /dev/null", executable, .. arguments]);
        start.Environment["QS_LOG"] = log;
        start.Environment["DOTNET_EnableDiagnostics"] = "0";
        start.Environment.Remove("DOTNET_ENVIRONMENT");
        using var process = Process.Start(start) ?? throw new InvalidOperationException("setsid did not start.");
        return process.Id;
    }

    public static bool IsRunning(int pid)
    {
        if (pid == 0)
        {
            return false;
        }

        try
        {
            // A killed process stays in the table until its parent has heard of it. It is gone when its last thread is: until
            // then it holds its locks and ports.
            var stat = File.ReadAllText($"/proc/{pid}/stat");
            return stat[stat.LastIndexOf(')') + 2] is not ('Z' or 'X') || Directory.EnumerateDirectories($"/proc/{pid}/task").Count() > 1;
        }
        catch (IOException)
        {
            return false;
        }
    }

    public static void Kill(int pid) => Send(pid, SigKill);

    public static void Terminate(int pid) => Send(pid, SigTerm);

    public static void Pause(int pid) => Send(pid, SigStop);

    public static void Resume(int pid) => Send(pid, SigCont);

    private static void Send(int pid, int signal)
    {
        if (pid != 0)
        {
            _ = Kill(pid, signal);
        }
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int pid, int signal);
}
