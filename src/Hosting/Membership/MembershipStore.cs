namespace Quicksilver.Hosting;

/// <summary>Where the silos of a cluster keep the table of who is a member.</summary>
public enum MembershipKind
{
    /// <summary>A directory that all of them can write, on one machine.</summary>
    Directory = 1,

    /// <summary>A Redis server.</summary>
    Redis = 2,

    /// <summary>A PostgreSQL database.</summary>
    PostgreSql = 3,
}

/// <param name="Location">Path, or connection string; the latter may have a password in it.</param>
public sealed record MembershipStore(MembershipKind Kind, string Location)
{
    public static MembershipStore Directory(string path) => new(MembershipKind.Directory, path);

    /// <summary>Without what may be a secret.</summary>
    public override string ToString() => Kind == MembershipKind.Directory ? Location : Kind.ToString();
}
