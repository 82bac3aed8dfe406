namespace Quicksilver.Replication;

/// <summary>What a source says of its age: how long ago its View was known to be the hub's newest.</summary>
internal static class SourceAge
{
    /// <summary>Beyond any that is of use, and far from where times overflow.</summary>
    private static readonly TimeSpan s_max = TimeSpan.FromDays(36_500);

    /// <summary>The age, or null where the source does not know it or cannot be believed.</summary>
    public static TimeSpan? Known(TimeSpan? said) => said >= TimeSpan.Zero && said <= s_max ? said : null;
}
