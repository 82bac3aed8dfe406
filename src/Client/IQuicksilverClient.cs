using Quicksilver.Contracts;
using Quicksilver.Model;

namespace Quicksilver.Client;

/// <summary>
/// The way into Quicksilver for an application: thread-safe, one per process is enough. All its reads and writes are one
/// session: a read sees the client's own writes and never goes back in time, on whichever node it is answered.
/// Errors: <see cref="QuicksilverException"/> for everything that can only be reported or tried again,
/// <see cref="ArgumentException"/> for wrong arguments, before anything is sent, <see cref="OperationCanceledException"/> where the caller gave up,
/// <see cref="ObjectDisposedException"/> after the client was disposed. What returns a sequence throws when it is enumerated.
/// </summary>
public interface IQuicksilverClient
{
    /// <summary>
    /// A keyspace by name. Does not ask the cluster; a name that does not exist shows at the first operation. Throws
    /// <see cref="ArgumentException"/> where it is no name.
    /// </summary>
    IKeyspace Keyspace(string name);

    /// <summary>Creates, deletes and lists keyspaces.</summary>
    ICatalog Catalog { get; }

    /// <summary>
    /// What the session has seen, to carry on in another process; null before the first answer. Setting it takes over another
    /// session's reads and writes; a token of another cluster is refused by the next read (ForeignPosition), and one of a revision that the
    /// cluster has never had is waited for in vain (NotYet).
    /// </summary>
    SessionToken? Session { get; set; }
}

/// <summary>One keyspace. Thread-safe.</summary>
public interface IKeyspace
{
    KeyspaceName Name { get; }

    /// <summary>One key; null where it does not exist.</summary>
    ValueTask<Entry?> GetAsync(Key key, ReadOptions? options = null, CancellationToken cancellation = default);

    /// <summary>Many keys, all from one revision, in the order asked for; null where one does not exist. At most 10,000.</summary>
    ValueTask<IReadOnlyList<Entry?>> GetManyAsync(IReadOnlyList<Key> keys, ReadOptions? options = null, CancellationToken cancellation = default);

    /// <summary>Sets a key. The bytes of the value must not change until the call returns.</summary>
    ValueTask<CommitResult> PutAsync(Key key, ReadOnlyMemory<byte> value, WriteOptions? options = null, CancellationToken cancellation = default);

    /// <summary>Sets a key to UTF-8 text.</summary>
    ValueTask<CommitResult> PutAsync(Key key, string value, WriteOptions? options = null, CancellationToken cancellation = default);

    /// <summary>Removes a key.</summary>
    ValueTask<CommitResult> DeleteAsync(Key key, WriteOptions? options = null, CancellationToken cancellation = default);

    /// <summary>
    /// Removes all keys with a prefix at one revision, as <see cref="Mutation.DeletePrefix"/>. Of more than 100,000 rows none is removed:
    /// InvalidRequest (exception). Conditions in the options are refused.
    /// </summary>
    ValueTask<CommitResult> DeletePrefixAsync(Key prefix, WriteOptions? options = null, CancellationToken cancellation = default);

    /// <summary>
    /// Changes several keys at one revision, all or nothing, where all conditions hold. Retried with one operation id until the
    /// outcome is certain or the deadline passes; then a <see cref="QuicksilverException"/> says whether it may have happened.
    /// Cancelling after the first try has been sent means only that the caller stops waiting.
    /// </summary>
    ValueTask<CommitResult> CommitAsync(
        IReadOnlyCollection<Condition> conditions, IReadOnlyCollection<Mutation> mutations, WriteOptions? options = null, CancellationToken cancellation = default);

    /// <summary>
    /// Rows in key order, or against it, page by page; each page is from one revision, and no page from an older one than the page before.
    /// </summary>
    IAsyncEnumerable<Row> ScanAsync(ScanOptions? options = null, CancellationToken cancellation = default);

    /// <summary>As <see cref="ScanAsync"/>, without the values: they are not sent. A page has up to 10,000 keys whatever their values are.</summary>
    IAsyncEnumerable<RowHead> ScanKeysAsync(ScanOptions? options = null, CancellationToken cancellation = default);

    /// <summary>
    /// Every change of the keyspace, or of the keys with a prefix, once and in order, until it is cancelled, the keyspace is deleted or the
    /// changes are not kept any more. Lost gateways, restarts of nodes and changes to another region are waited for and gone on from. What was
    /// told counts as read by the session. Throws <see cref="QuicksilverException"/> for what no trying can mend (no such keyspace, a foreign
    /// or wrong cursor, a node that does not hold the keyspace or whose log is damaged), <see cref="ArgumentException"/> for wrong options.
    /// </summary>
    IAsyncEnumerable<WatchEvent> WatchAsync(WatchOptions? options = null, CancellationToken cancellation = default);

    /// <summary>
    /// One page of rows, for callers that keep the cursor themselves: that of the page before, empty for the first. It goes on with the scan it is of (keyspace, prefix, start, end,
    /// direction), at any node of the cluster. Throws <see cref="QuicksilverException"/> (InvalidRequest) where it is of another scan, was changed or
    /// is none.
    /// </summary>
    ValueTask<ScanPage<Row>> ScanPageAsync(ScanOptions options, ReadOnlyMemory<byte> cursor, CancellationToken cancellation = default);

    /// <summary>As <see cref="ScanPageAsync"/>, without the values. Takes its cursors, too.</summary>
    ValueTask<ScanPage<RowHead>> ScanKeysPageAsync(ScanOptions options, ReadOnlyMemory<byte> cursor, CancellationToken cancellation = default);
}

/// <summary>Keyspaces by name.</summary>
public interface ICatalog
{
    /// <summary>Creates a keyspace; Unchanged where it exists with these settings. KeyspaceExists (exception) where it has others.</summary>
    ValueTask<CommitResult> CreateAsync(string name, KeyspaceSettings? settings = null, CancellationToken cancellation = default);

    /// <summary>Deletes a keyspace and all its keys. KeyspaceNotFound (exception) where there is none.</summary>
    ValueTask<CommitResult> DeleteAsync(string name, CancellationToken cancellation = default);

    /// <summary>A keyspace, or null.</summary>
    ValueTask<KeyspaceInfo?> FindAsync(string name, ReadOptions? options = null, CancellationToken cancellation = default);

    /// <summary>All keyspaces in name order.</summary>
    IAsyncEnumerable<KeyspaceInfo> ListAsync(ReadOptions? options = null, CancellationToken cancellation = default);
}
