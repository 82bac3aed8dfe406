namespace Quicksilver.Model;

/// <summary>A row that was put with a time to live, and when it is over. Of no meaning once the key has another revision.</summary>
public readonly record struct Expiry(LogTime At, KeyspaceId Keyspace, Revision Revision, Key Key);
