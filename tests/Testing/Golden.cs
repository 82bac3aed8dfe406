using System.Runtime.CompilerServices;
using System.Text;

namespace Quicksilver.Testing;

/// <summary>
/// Golden bytes: the files <c>Golden/*.hex</c> beside the test that asks. They are kept for ever; a change of one is a change of
/// a format. <c>QS_WRITE_GOLDEN=1</c> writes the file instead of comparing, for a format that is new.
/// </summary>
public static class Golden
{
    private const int BytesPerLine = 32;

    /// <summary>Compares with the file and returns its bytes; throws where they differ or the file is missing.</summary>
    public static byte[] Check(string name, ReadOnlySpan<byte> actual, [CallerFilePath] string test = "")
    {
        var path = Path.Combine(Path.GetDirectoryName(test)!, "Golden", name + ".hex");
        if (Environment.GetEnvironmentVariable("QS_WRITE_GOLDEN") == "1")
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllText(path, ToText(actual));
            return actual.ToArray();
        }

        var expected = Read(name, test);
        if (!actual.SequenceEqual(expected))
        {
            throw new InvalidOperationException($"The bytes of '{name}' changed.\nGolden:\n{ToText(expected)}Now:\n{ToText(actual)}");
        }

        return expected;
    }

    /// <summary>The bytes of a file: of a format that is read and not written any more.</summary>
    public static byte[] Read(string name, [CallerFilePath] string test = "")
    {
        var path = Path.Combine(Path.GetDirectoryName(test)!, "Golden", name + ".hex");
        return File.Exists(path)
            ? Convert.FromHexString(string.Concat(File.ReadAllLines(path)))
            : throw new FileNotFoundException($"There is no golden file '{path}'. Write it once with QS_WRITE_GOLDEN=1 and commit it.", path);
    }

    private static string ToText(ReadOnlySpan<byte> bytes)
    {
        var text = new StringBuilder();
        for (var start = 0; start < bytes.Length; start += BytesPerLine)
        {
            text.Append(Convert.ToHexStringLower(bytes.Slice(start, Math.Min(BytesPerLine, bytes.Length - start)))).Append('\n');
        }

        return text.ToString();
    }
}
