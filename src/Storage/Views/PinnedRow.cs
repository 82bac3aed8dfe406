using Quicksilver.Storage.Native;

namespace Quicksilver.Storage;

/// <summary>A row as RocksDB holds it. Dispose it as soon as its bytes were used.</summary>
public ref struct PinnedRow
{
    private Pinned _pinned;

    internal PinnedRow(Pinned pinned) => _pinned = pinned;

    public readonly bool Found => _pinned.Found;

    /// <summary>The row; only where <see cref="Found"/>.</summary>
    public readonly DataRow Row => DataRow.Parse(_pinned.Bytes);

    public void Dispose() => _pinned.Dispose();
}
