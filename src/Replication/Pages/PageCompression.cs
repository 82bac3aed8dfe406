using System.Collections.Concurrent;
using Quicksilver.Model;
using Quicksilver.Storage;
using ZstdSharp;

namespace Quicksilver.Replication;

/// <summary>
/// Compression of the pages of one session. The last records that were sent serve as a dictionary, so that a page of one small record
/// becomes small too; both sides keep them, and they are the same because pages of a session are made and taken in order.
/// </summary>
internal sealed class PageCompression
{
    /// <summary>Bytes of records that are remembered.</summary>
    private const int MaxTail = 32 * 1024;

    /// <summary>Smaller pages are not worth it.</summary>
    private const int MinBytes = 100;

    /// <summary>A page must become smaller by a tenth at least, or it is sent as it is.</summary>
    private const double MinGain = 0.9;

    /// <summary>After so many pages that did not pay, as many times four are not tried.</summary>
    private const int MaxLosses = 8;

    /// <summary>Largest page, bytes of records: what a source sends at most, and one more record.</summary>
    private const int MaxRawBytes = (1024 * 1024) + RecordFormat.MaxBytes + 16;

    private const int Level = 1;

    // Each holds native memory; there are as many as pages are made at the same time.
    private static readonly ConcurrentBag<Compressor> s_compressors = [];
    private static readonly ConcurrentBag<Decompressor> s_decompressors = [];

    // A zero, and the tail behind it: whatever the records are, it is never taken for a trained dictionary, which begins with a number.
    private readonly byte[] _dictionary = new byte[1 + MaxTail];
    private int _tailLength;
    private int _losses;

    private Span<byte> Tail => _dictionary.AsSpan(1);

    /// <summary>The page as it is sent.</summary>
    public LogPage Compress(LogPage page)
    {
        var raw = page.Records.Span;
        if (raw.IsEmpty)
        {
            return page;
        }

        var packed = raw.Length >= MinBytes && IsWorthATry() ? Pack(raw) : null;
        if (raw.Length >= MinBytes)
        {
            _losses = packed is not null ? 0 : _losses + 1;
        }

        Remember(raw);
        return packed is null ? page : page with { Records = new(packed), Encoding = PageEncoding.Zstd, RawBytes = raw.Length };
    }

    private bool IsWorthATry() => _losses < MaxLosses || _losses % (4 * MaxLosses) == 0;

    private byte[]? Pack(ReadOnlySpan<byte> raw)
    {
        if (!s_compressors.TryTake(out var compressor))
        {
            compressor = new(Level);
        }

        compressor.LoadDictionary(_dictionary.AsSpan(0, 1 + _tailLength));
        var buffer = System.Buffers.ArrayPool<byte>.Shared.Rent(Compressor.GetCompressBound(raw.Length));
        try
        {
            var length = compressor.Wrap(raw, buffer);
            return length < raw.Length * MinGain ? buffer.AsSpan(0, length).ToArray() : null;
        }
        finally
        {
            System.Buffers.ArrayPool<byte>.Shared.Return(buffer);
            s_compressors.Add(compressor);
        }
    }

    /// <summary>The page as it was made. Throws <see cref="MalformedDataException"/>.</summary>
    public LogPage Decompress(LogPage page)
    {
        switch (page.Encoding)
        {
            case PageEncoding.None:
                Remember(page.Records.Span);
                return page;
            case PageEncoding.Zstd when page.RawBytes is > 0 and <= MaxRawBytes:
                var raw = new byte[page.RawBytes];
                Unpack(page.Records.Span, raw);
                Remember(raw);
                return page with { Records = new(raw), Encoding = PageEncoding.None, RawBytes = 0 };
            case PageEncoding.Zstd:
                throw new MalformedDataException($"A page of {page.RawBytes} bytes cannot be; the limit is {MaxRawBytes}.");
            default:
                throw new MalformedDataException($"A page is in encoding {(int)page.Encoding}, which was not asked for.");
        }
    }

    private void Unpack(ReadOnlySpan<byte> packed, Span<byte> raw)
    {
        if (!s_decompressors.TryTake(out var decompressor))
        {
            decompressor = new();
        }

        try
        {
            decompressor.LoadDictionary(_dictionary.AsSpan(0, 1 + _tailLength));
            if (!decompressor.TryUnwrap(packed, raw, out var length) || length != raw.Length)
            {
                throw new MalformedDataException("A page does not have the length that it says.");
            }
        }
        catch (ZstdException e)
        {
            throw new MalformedDataException($"A page cannot be decompressed: {e.Message}");
        }
        finally
        {
            s_decompressors.Add(decompressor);
        }
    }

    private void Remember(ReadOnlySpan<byte> raw)
    {
        if (raw.Length >= MaxTail)
        {
            raw[^MaxTail..].CopyTo(Tail);
            _tailLength = MaxTail;
            return;
        }

        var kept = Math.Min(_tailLength, MaxTail - raw.Length);
        Tail.Slice(_tailLength - kept, kept).CopyTo(Tail);
        raw.CopyTo(Tail[kept..]);
        _tailLength = kept + raw.Length;
    }
}
