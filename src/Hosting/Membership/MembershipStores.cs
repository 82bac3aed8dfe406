using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Npgsql;
using StackExchange.Redis;

namespace Quicksilver.Hosting.Membership;

/// <summary>Makes the table of a <see cref="MembershipStore"/> that of a silo.</summary>
internal static class MembershipStores
{
    /// <summary>What PostgreSQL locks while the tables are made: any number, the same for all nodes.</summary>
    private const long SchemaLock = 0x517c_5117;

    /// <summary>Throws <see cref="ConfigurationException"/> where a connection string is none. The message has no word of it.</summary>
    public static void Check(MembershipStore store)
    {
        try
        {
            switch (store.Kind)
            {
                case MembershipKind.Redis:
                    RedisOptions(store);
                    break;
                case MembershipKind.PostgreSql:
                    _ = new NpgsqlConnectionStringBuilder(store.Location);
                    break;
            }
        }
        catch (Exception e) when (e is ArgumentException or FormatException or KeyNotFoundException)
        {
            throw new ConfigurationException(SettingOf(store), null, store.Kind == MembershipKind.Redis
                ? "it is no connection string of Redis: write HOST:PORT, and after commas what else it needs, such as user=NAME,password=WORD,ssl=true."
                : "it is no connection string of PostgreSQL: write Host=HOST;Port=5432;Database=NAME;Username=NAME;Password=WORD.");
        }
    }

    public static string SettingOf(MembershipStore store) => $"Quicksilver:Membership:{store.Kind}";

    private static ConfigurationOptions RedisOptions(MembershipStore store)
    {
        var options = ConfigurationOptions.Parse(store.Location);

        // A server that is away is tried again for as long as the node runs.
        options.AbortOnConnectFail = false;
        return options;
    }

    public static void Configure(ISiloBuilder silo, MembershipStore store)
    {
        switch (store.Kind)
        {
            case MembershipKind.Directory:
                silo.Services.Configure<FileMembershipOptions>(o => o.Directory = store.Location);
                silo.Services.AddSingleton<IMembershipTable, FileMembershipTable>();
                break;
            case MembershipKind.Redis:
                silo.UseRedisClustering(o => o.ConfigurationOptions = RedisOptions(store));
                break;
            case MembershipKind.PostgreSql:
                silo.UseAdoNetClustering(o => (o.Invariant, o.ConnectionString) = ("Npgsql", store.Location));
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(store));
        }
    }

    /// <summary>
    /// Makes what the store needs and does not have. Throws <see cref="ConfigurationException"/> where it cannot be reached or refuses.
    /// </summary>
    public static async Task PrepareAsync(MembershipStore store, CancellationToken cancellation)
    {
        if (store.Kind != MembershipKind.PostgreSql)
        {
            return;
        }

        try
        {
            await using var connection = new NpgsqlConnection(store.Location);
            await connection.OpenAsync(cancellation);
            await using var exists = new NpgsqlCommand("SELECT to_regclass('OrleansQuery') IS NOT NULL", connection);
            if (true.Equals(await exists.ExecuteScalarAsync(cancellation)))
            {
                return;
            }

            // Nodes that start together: one makes the tables, the others wait.
            await using var transaction = await connection.BeginTransactionAsync(cancellation);
            await using var make = new NpgsqlCommand($"SELECT pg_advisory_xact_lock({SchemaLock});\n{Schema()}", connection, transaction);

            // The names that begin with an at-sign are part of texts, not parameters of this command.
            await make.ExecuteNonQueryAsync(cancellation);
            await transaction.CommitAsync(cancellation);
        }
        catch (Exception e) when (e is NpgsqlException or TimeoutException or System.Net.Sockets.SocketException)
        {
            throw new ConfigurationException(
                SettingOf(store), null,
                $"the database cannot be used: {e.Message} Correct the connection string, start the server, or let somebody who may make tables run infra/postgresql/membership.sql there.");
        }
    }

    private static string Schema()
    {
        using var stream = typeof(MembershipStores).Assembly.GetManifestResourceStream("postgresql.sql")!;
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
