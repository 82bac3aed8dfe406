using Quicksilver.Sequencing;
using Quicksilver.Storage;

namespace Quicksilver.Hosting;

/// <summary>How the process of a node ends. Scripts and orchestrators branch on these: the numbers never change.</summary>
public static class ExitCode
{
    /// <summary>Stopped in order.</summary>
    public const int Ok = 0;

    /// <summary>Something unforeseen.</summary>
    public const int Error = 1;

    /// <summary>Wrong configuration: the message names the key, its value and the fix.</summary>
    public const int Configuration = 2;

    /// <summary>The disk or the database failed. The node must not go on; its data may need repair.</summary>
    public const int Storage = 10;

    /// <summary>The data directory is in use, belongs to another node, or was written by a newer build.</summary>
    public const int ForeignData = 11;

    /// <summary>This hub member cannot go on by its own log: its data must be rebuilt from another member.</summary>
    public const int NeedsRepair = 12;

    /// <summary>This hub member has no data and the hub was formed already: it must not take part until it was rebuilt.</summary>
    public const int FormationRefused = 14;

    /// <summary>This hub member was taken out of the hub. Started again, it sets its data aside, and joins anew where it is invited.</summary>
    public const int MemberRemoved = 15;

    /// <summary>A port is in use.</summary>
    public const int PortInUse = 13;

    /// <summary>The code for a failure that ends a node.</summary>
    public static int For(Exception e) => e switch
    {
        ConfigurationException => Configuration,
        PortInUseException => PortInUse,
        NeedsRepairException => NeedsRepair,
        FormationRefusedException => FormationRefused,
        MemberRemovedException => MemberRemoved,
        StorageException { Fault: StorageFault.InUse or StorageFault.Foreign } => ForeignData,
        StorageException => Storage,
        IOException => Storage,
        { InnerException: { } inner } => For(inner),
        _ => Error,
    };
}
