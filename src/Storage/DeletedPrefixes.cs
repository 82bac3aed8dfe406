using Quicksilver.Model;

namespace Quicksilver.Storage;

/// <summary>
/// When rows went because of their prefix, for who asks in key order: all prefixes of the log between two revisions beside a walk through the
/// rows. Prefixes may lie in one another.
/// </summary>
internal sealed class DeletedPrefixes
{
    private readonly SortedDictionary<byte[], Revision> _prefixes = new(Comparer<byte[]>.Create((a, b) => a.AsSpan().SequenceCompareTo(b)));

    // Those that the key asked for last begins with, the longest on top, each with the latest revision of it and those below it.
    private readonly Stack<(byte[] Prefix, Revision Latest)> _around = new();
    private KeyValuePair<byte[], Revision>[]? _sorted;
    private int _next;

    /// <summary>To be called in the order of the log, and before anybody asks.</summary>
    /// <param name="prefix">With the keyspace in front, as keys of <c>data</c> have it.</param>
    public void Add(byte[] prefix, Revision revision) => _prefixes[prefix] = revision;

    /// <summary>
    /// The last revision that deleted all rows with a prefix of this key; <see cref="Revision.None"/> where none did. What was put at that revision
    /// or later is there. Keys must not go back from call to call.
    /// </summary>
    public Revision DeletedAt(ReadOnlySpan<byte> key)
    {
        if (_prefixes.Count == 0)
        {
            return Revision.None;
        }

        while (_around.TryPeek(out var top) && !key.StartsWith(top.Prefix))
        {
            _around.Pop();
        }

        // A prefix stands before all that lies in it, and after those it lies in.
        for (_sorted ??= [.. _prefixes]; _next < _sorted.Length && _sorted[_next].Key.AsSpan().SequenceCompareTo(key) <= 0; _next++)
        {
            var (prefix, revision) = _sorted[_next];
            if (key.StartsWith(prefix))
            {
                var outer = _around.TryPeek(out var around) ? around.Latest : Revision.None;
                _around.Push((prefix, revision > outer ? revision : outer));
            }
        }

        return _around.TryPeek(out var innermost) ? innermost.Latest : Revision.None;
    }
}
