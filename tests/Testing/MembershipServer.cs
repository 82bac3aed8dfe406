using System.Diagnostics;
using System.Net.Sockets;

namespace Quicksilver.Testing;

/// <summary>A real server that keeps membership tables, on a loopback port and in a directory of its own.</summary>
public sealed class MembershipServer : IAsyncDisposable
{
    private const string Password = "not-a-secret";
    private const string PostgresUser = "postgres";

    private readonly bool _isRedis;
    private readonly string _directory;
    private readonly int _port = Ports.Free();
    private Process? _process;

    private MembershipServer(bool isRedis, string directory) => (_isRedis, _directory) = (isRedis, directory);

    /// <summary>What is missing to run one, or null.</summary>
    public static string? Missing(string kind) => kind == "Redis"
        ? File.Exists("/usr/bin/redis-server") ? null : "the Debian package redis-server"
        : Postgres() is null ? "the Debian package postgresql" : null;

    /// <summary>The directory of PostgreSQL's programs, the newest there is.</summary>
    private static string? Postgres() => Directory.Exists("/usr/lib/postgresql")
        ? Directory.GetDirectories("/usr/lib/postgresql").Select(path => Path.Combine(path, "bin")).Where(path => File.Exists(Path.Combine(path, "initdb"))).Order().LastOrDefault()
        : null;

    /// <summary>The setting that names it, and its value.</summary>
    public (string Setting, string Value) Setting => _isRedis
        ? ("Redis", $"127.0.0.1:{_port},password={Password}")
        : ("PostgreSql", $"Host=127.0.0.1;Port={_port};Username=quicksilver;Password={Password};Database=quicksilver;Timeout=2;Command Timeout=2");

    public static async Task<MembershipServer> StartAsync(string kind, CancellationToken stop)
    {
        // PostgreSQL runs as a user of its own, who must be able to go there.
        var directory = kind == "Redis"
            ? Directory.CreateTempSubdirectory("quicksilver-redis-").FullName
            : (await RunAsync(AsPostgres(["mktemp", "-d", "/tmp/quicksilver-postgres-XXXXXX"]), stop)).Trim();
        var server = new MembershipServer(kind == "Redis", directory);
        try
        {
            if (!server._isRedis)
            {
                await RunAsync(AsPostgres([Path.Combine(Postgres()!, "initdb"), "-D", directory, "-A", "trust", "-U", PostgresUser, "--no-sync"]), stop);
            }

            await server.StartAsync(stop);
            if (!server._isRedis)
            {
                await server.SqlAsync($"CREATE ROLE quicksilver LOGIN PASSWORD '{Password}'", stop);
                await server.SqlAsync("CREATE DATABASE quicksilver OWNER quicksilver", stop);
            }

            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    private Task<string> SqlAsync(string command, CancellationToken stop) => RunAsync(
        [Path.Combine(Postgres()!, "psql"), "-h", "127.0.0.1", "-p", $"{_port}", "-U", PostgresUser, "-v", "ON_ERROR_STOP=1", "-c", command], stop);

    private static string[] AsPostgres(string[] command) =>
        Environment.UserName == "root" ? ["runuser", "-u", PostgresUser, "--", .. command] : command;

    /// <summary>Starts it, or starts it again with what it had.</summary>
    public async Task StartAsync(CancellationToken stop)
    {
        string[] command = _isRedis
            ? ["redis-server", "--port", $"{_port}", "--bind", "127.0.0.1", "--dir", _directory, "--appendonly", "yes", "--requirepass", Password, "--save", ""]
            : AsPostgres([Path.Combine(Postgres()!, "postgres"), "-D", _directory, "-p", $"{_port}", "-c", "listen_addresses=127.0.0.1", "-c", $"unix_socket_directories={_directory}"]);
        _process = Process.Start(Info(command)) ?? throw new InvalidOperationException($"{command[0]} did not start.");
        _process.OutputDataReceived += static (_, _) => { };
        _process.ErrorDataReceived += static (_, _) => { };
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        await Eventually.TrueAsync(() => AnswersAsync(stop), $"{command[0]} on port {_port}", stop);
    }

    private async Task<bool> AnswersAsync(CancellationToken stop)
    {
        try
        {
            if (!_isRedis)
            {
                await SqlAsync("SELECT 1", stop);
                return true;
            }

            using var socket = new TcpClient();
            await socket.ConnectAsync("127.0.0.1", _port, stop);
            return true;
        }
        catch (Exception e) when (e is SocketException or InvalidOperationException)
        {
            return false;
        }
    }

    /// <summary>Ends it at once, with all its connections.</summary>
    public async Task KillAsync(CancellationToken stop)
    {
        if (_process is null)
        {
            return;
        }

        // SIGINT and not SIGKILL: the children of PostgreSQL would hold the directory. It goes through runuser.
        if (!_isRedis)
        {
            await RunAsync(AsPostgres([Path.Combine(Postgres()!, "pg_ctl"), "stop", "-D", _directory, "-m", "immediate"]), stop);
        }
        else
        {
            _process.Kill(entireProcessTree: true);
        }

        await _process.WaitForExitAsync(stop);
        _process.Dispose();
        _process = null;
    }

    private static ProcessStartInfo Info(string[] command) =>
        new(command[0], command[1..]) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = "/" };

    private static async Task<string> RunAsync(string[] command, CancellationToken stop)
    {
        using var process = Process.Start(Info(command))!;
        var errors = process.StandardError.ReadToEndAsync(stop);
        var output = await process.StandardOutput.ReadToEndAsync(stop);
        await process.WaitForExitAsync(stop);
        return process.ExitCode == 0 ? output : throw new InvalidOperationException($"{string.Join(' ', command)} ended with {process.ExitCode}: {await errors}");
    }

    public async ValueTask DisposeAsync()
    {
        await KillAsync(CancellationToken.None);
        Directory.Delete(_directory, recursive: true);
    }
}
