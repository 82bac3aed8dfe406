namespace Quicksilver.Storage;

/// <summary>Small files that are replaced whole: after a crash there is the old one or the new one.</summary>
public static class DurableFile
{
    /// <summary>Durable on return. Throws <see cref="IOException"/>; the old one is there then, or the new one.</summary>
    public static void Replace(string path, ReadOnlySpan<byte> content)
    {
        // Order matters: the whole file is on disk before it takes the place of the old one. Writing through reports what a flush
        // would hide (docs/decisions/0003-fsync.md).
        var partial = path + ".partial";
        using (var file = new FileStream(partial, FileMode.Create, FileAccess.Write, FileShare.None, 1, FileOptions.WriteThrough))
        {
            file.Write(content);
        }

        File.Move(partial, path, overwrite: true);
        DirectorySync.Flush(Path.GetDirectoryName(Path.GetFullPath(path))!);
    }
}
