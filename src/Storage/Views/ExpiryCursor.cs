using Quicksilver.Model;
using Quicksilver.Storage.Native;

namespace Quicksilver.Storage;

/// <summary>Finds what expires. Only a hub member has it.</summary>
public static class ExpiryCursor
{
    /// <summary>
    /// What was to expire at or before <paramref name="until"/>, the oldest first, at most <paramref name="count"/>. The key may have another revision by now. Throws <see cref="StorageException"/>.
    /// </summary>
    /// <param name="from">Nothing is there before this: it need not be looked through again.</param>
    public static List<Expiry> ReadDue(View view, LogTime from, LogTime until, int count)
    {
        Span<byte> start = stackalloc byte[8];
        System.Buffers.Binary.BinaryPrimitives.WriteInt64BigEndian(start, from.Value);
        var due = new List<Expiry>();
        using var iterator = new DbIterator(view.Database, view.ReadOptions, ColumnFamily.Expiry);
        for (var more = iterator.Seek(start); more && due.Count < count; more = iterator.Next())
        {
            var expiry = Undamaged.Read(iterator.Key, StorageKeys.ReadExpiry, "a row of what expires");
            if (expiry.At > until)
            {
                break;
            }

            due.Add(expiry);
        }

        return due;
    }
}
