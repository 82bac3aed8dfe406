namespace Quicksilver.Storage;

/// <summary>
/// Places between two steps that a crash must not tear apart. A test program that may see the internals of this assembly sets a handler that
/// kills the process; in every other program nothing can, and a hit is a test for null.
/// </summary>
internal static class FailPoint
{
    public const string CommitWrite = "commit.write";
    public const string CommitWritten = "commit.written";
    public const string CommitPublished = "commit.published";
    public const string SnapshotCleared = "snapshot.cleared";
    public const string SnapshotBegun = "snapshot.begun";
    public const string SnapshotBlock = "snapshot.block";
    public const string SnapshotFile = "snapshot.file";
    public const string SnapshotSaved = "snapshot.saved";
    public const string InstallBegun = "install.begun";
    public const string InstallIngested = "install.ingested";
    public const string InstallMeta = "install.meta";
    public const string InstallChecked = "install.checked";
    public const string InstallSwitch = "install.switch";
    public const string InstallSwitched = "install.switched";
    public const string InstallPublished = "install.published";
    public const string InstallReleased = "install.released";
    public const string AddCleared = "add.cleared";
    public const string AddIngested = "add.ingested";
    public const string AddPublished = "add.published";

    /// <summary>All of them.</summary>
    public static readonly string[] All =
    [
        CommitWrite, CommitWritten, CommitPublished, SnapshotCleared, SnapshotBegun, SnapshotBlock, SnapshotFile, SnapshotSaved, InstallBegun,
        InstallIngested, InstallMeta, InstallChecked, InstallSwitch, InstallSwitched, InstallPublished, InstallReleased, AddCleared, AddIngested, AddPublished,
    ];

    /// <summary>Called with the name of each place that is passed; null outside of tests.</summary>
    public static Action<string>? Handler { get; set; }

    public static void Hit(string name) => Handler?.Invoke(name);
}
