using System.Globalization;
using System.Net;
using System.Text;
using DotNext.IO;
using DotNext.Net.Cluster.Consensus.Raft.Membership;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <summary>
/// The voting members of the hub as Raft agreed on them, in the file <c>members</c> of the Raft directory. It is there from the
/// moment this member first takes part, changes only by applied configuration entries, and wins over what is configured.
///
/// The library's own storages will not do: one forgets at the end of the process, the other writes to the system's temporary
/// directory, which may be on another disk, and syncs by a call that hides its errors (docs/decisions/0003-fsync.md).
/// </summary>
internal sealed class MemberStorage : IClusterConfigurationStorage<EndPoint>
{
    public const string FileName = "members";

    private const string Heading = "quicksilver raft members 1";
    private const int MaxBytes = 64 * 1024;

    private readonly string _path;
    private readonly NodeId _self;
    private readonly IReadOnlyList<HubMember> _configured;
    private readonly SemaphoreSlim _saving = new(1);
    private Func<IClusterConfiguration<EndPoint>, CancellationToken, ValueTask>? _changed;
    private volatile State? _state;

    private sealed record State(long Version, Configuration Configuration);

    /// <summary>Reads what was saved before, if anything. Throws <see cref="StorageException"/> where the file is damaged.</summary>
    /// <param name="directory">The Raft directory.</param>
    /// <param name="self">This node.</param>
    /// <param name="configured">Names and addresses as configured; they give names to endpoints that the library speaks of.</param>
    public MemberStorage(string directory, NodeId self, IReadOnlyList<HubMember> configured)
    {
        _path = Path.Combine(directory, FileName);
        _self = self;
        _configured = configured;
        if (File.Exists(_path))
        {
            _state = Parse(File.ReadAllText(_path));
        }
    }

    /// <summary>Raised after each change, on the thread that applies; awaited before the next entry is applied.</summary>
    public event Action? MembersChanged;

    /// <summary>The members agreed on; null until this member has first taken part, or has heard from those who have.</summary>
    public IReadOnlyList<HubMember>? Members => _state?.Configuration.Named;

    /// <summary>The members agreed on, none where nothing is known, and up to which entry that is so.</summary>
    public AgreedMembers Agreed => _state is { Configuration: var agreed } state
        ? new(agreed.Named, new(state.Version)) { Invited = agreed.Invited }
        : new([], LogIndex.None);

    /// <summary>Raft index up to which every change is in; 0 for the members the hub was formed with, -1 for none.</summary>
    private long Version => _state?.Version ?? -1;

    public bool Contains(NodeId node) => Members?.Any(member => member.Node == node) == true;

    /// <summary>The node of a name: as agreed on, else as invited, else as configured.</summary>
    public HubMember? Find(NodeId node) => Known.FirstOrDefault(member => member.Node == node);

    /// <summary>Name of the node at an endpoint, or null.</summary>
    public NodeId? NameOf(EndPoint? endpoint) => Known.FirstOrDefault(member => member.Endpoint.Equals(endpoint))?.Node;

    private IEnumerable<HubMember> Known => _state is { Configuration: var agreed } ? [.. agreed.Named, .. agreed.Invited, .. _configured] : _configured;

    /// <summary>The hub is formed of the configured members. Returns when that is on disk.</summary>
    public void Form() => Install(new(0, new(_configured, [])));

    /// <summary>A newcomer learns what was agreed on up to the entry that its state is of, or a later one.</summary>
    public void Adopt(AgreedMembers agreed) => Install(new(agreed.AsOf.Value, new(agreed.Members, agreed.Invited)));

    /// <summary>The present members, with other invitations, as a configuration entry has them. Only where members are agreed on.</summary>
    public ReadOnlyMemory<byte> WithInvited(IReadOnlyList<HubMember> invited) =>
        Encoding.ASCII.GetBytes(new Configuration(_state!.Configuration.Named, invited).Text);

    /// <summary>As <see cref="Adopt"/>, where that is newer than what is known.</summary>
    public void AdoptNewer(AgreedMembers agreed)
    {
        if (agreed.AsOf.Value > Version)
        {
            Adopt(agreed);
        }
    }

    /// <summary>This node is no member any more and has not heard so from Raft: what it remembers must not count at the next start.</summary>
    public void Forget() => File.Delete(_path);

    private void Install(State state)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(_path)!);
        var text = new StringBuilder(Heading).Append('\n')
            .Append(CultureInfo.InvariantCulture, $"version {state.Version}\n")
            .Append(state.Configuration.Text);
        var hash = ChainHash.DigestOf(Encoding.ASCII.GetBytes(text.ToString()));
        text.Append(CultureInfo.InvariantCulture, $"hash {hash}\n");

        DurableFile.Replace(_path, Encoding.ASCII.GetBytes(text.ToString()));
        _state = state;
    }

    private State Parse(string text)
    {
        var hash = text.LastIndexOf("hash ", StringComparison.Ordinal);
        var lines = text.Split('\n');
        if (text.Length > MaxBytes || hash <= 0 || lines.Length < 4 || lines[0] != Heading
            || text[hash..] != $"hash {ChainHash.DigestOf(Encoding.ASCII.GetBytes(text[..hash]))}\n"
            || !lines[1].StartsWith("version ", StringComparison.Ordinal)
            || !long.TryParse(lines[1]["version ".Length..], NumberStyles.None, CultureInfo.InvariantCulture, out var version))
        {
            throw new StorageException(StorageFault.Corrupt, $"The file '{_path}' with the members of the hub is damaged. This member must be repaired.");
        }

        return new(version, Configuration.Parse(string.Join('\n', lines[2..^2])));
    }

    async ValueTask<bool> IClusterConfigurationStorage.SaveConfigurationAsync<TConfiguration>(TConfiguration configuration, long configurationVersion, CancellationToken token)
    {
        var bytes = await configuration.ToByteArrayAsync(null, token).ConfigureAwait(false);
        var next = new State(configurationVersion, Configuration.Parse(Encoding.ASCII.GetString(bytes)));
        await _saving.WaitAsync(token).ConfigureAwait(false);
        try
        {
            // Replay brings entries that were saved before.
            if (configurationVersion <= Version)
            {
                return false;
            }

            Install(next);
            if (_changed is { } changed)
            {
                foreach (var handler in changed.GetInvocationList().Cast<Func<IClusterConfiguration<EndPoint>, CancellationToken, ValueTask>>())
                {
                    await handler(Visible, token).ConfigureAwait(false);
                }
            }
        }
        finally
        {
            _saving.Release();
        }

        MembersChanged?.Invoke();
        return true;
    }

    ValueTask<(IDataTransferObject Configuration, long Version)> IClusterConfigurationStorage.LoadConfigurationAsync(CancellationToken token)
    {
        // Both of one state: the old members under the new version would be taken for the new ones.
        var state = _state;
        return new((VisibleOf(state), Math.Max(state?.Version ?? -1, 0)));
    }

    ValueTask<IClusterConfiguration<EndPoint>> IClusterConfigurationStorage<EndPoint>.LoadConfigurationAsync(CancellationToken token) =>
        new(Visible);

    /// <summary>
    /// What the library sees: nobody, until this node is a member. A node without a vote would grant it all the same to every
    /// candidate that it knows, and a newcomer with an empty log finds every candidate good enough.
    /// </summary>
    private Configuration Visible => VisibleOf(_state);

    private Configuration VisibleOf(State? state) =>
        state is not null && state.Configuration.Named.Any(member => member.Node == _self) ? state.Configuration : new([], []);

    event Func<IClusterConfiguration<EndPoint>, CancellationToken, ValueTask> IClusterConfigurationStorage<EndPoint>.ConfigurationChanged
    {
        add => _changed += value;
        remove => _changed -= value;
    }

    public void Dispose() => _saving.Dispose();

    /// <summary>
    /// A set of members, as it is in configuration entries of the log: lines <c>name=endpoint</c>, sorted by name, and after them
    /// lines <c>invited name=endpoint</c> of nodes that may become members, or become one again.
    /// </summary>
    private sealed class Configuration : IClusterConfiguration<EndPoint>
    {
        private const string InvitedPrefix = "invited ";

        private readonly byte[] _bytes;

        public Configuration(IReadOnlyList<HubMember> members, IReadOnlyList<HubMember> invited)
        {
            Named = [.. Sorted(members)];
            Invited = [.. Sorted(invited)];
            Text = string.Concat([.. Named.Select(LineOf), .. Invited.Select(member => InvitedPrefix + LineOf(member))]);
            Members = Named.Select(member => (EndPoint)member.Endpoint).ToHashSet();
            _bytes = Encoding.ASCII.GetBytes(Text);
        }

        public IReadOnlyList<HubMember> Named { get; }

        public IReadOnlyList<HubMember> Invited { get; }

        public string Text { get; }

        public IReadOnlySet<EndPoint> Members { get; }

        private static IEnumerable<HubMember> Sorted(IEnumerable<HubMember> members) => members.OrderBy(member => member.Node.Value, StringComparer.Ordinal);

        private static string LineOf(HubMember member) => $"{member.Node}={member.Endpoint}\n";

        public static Configuration Parse(string text)
        {
            var members = new List<HubMember>();
            var invited = new List<HubMember>();
            foreach (var line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
            {
                var isInvited = line.StartsWith(InvitedPrefix, StringComparison.Ordinal);
                var pair = isInvited ? line[InvitedPrefix.Length..] : line;
                var equals = pair.IndexOf('=', StringComparison.Ordinal);
                if (equals < 0 || !NodeId.TryParse(pair[..equals], out var node) || !IPEndPoint.TryParse(pair[(equals + 1)..], out var endpoint))
                {
                    throw new MalformedDataException($"'{line}' is not a member of a hub (name=address:port).");
                }

                (isInvited ? invited : members).Add(new(node, endpoint));
            }

            return new(members, invited);
        }

        /// <summary>Only who is invited becomes a member, and no fourth: whoever asks, the rule holds here.</summary>
        public IClusterConfiguration<EndPoint> Add(EndPoint address)
        {
            if (Members.Contains(address))
            {
                return this;
            }

            var added = Invited.FirstOrDefault(member => member.Endpoint.Equals(address))
                ?? throw new ArgumentException($"Nobody was invited at {address}.", nameof(address));
            return Named.Count < HubSize.Max
                ? new Configuration([.. Named, added], [.. Invited.Where(member => member != added)])
                : throw new ArgumentException(HubSize.Refusal(added.Node, Named), nameof(address));
        }

        public IClusterConfiguration<EndPoint> Remove(EndPoint address) =>
            Members.Contains(address) ? new Configuration([.. Named.Where(member => !member.Endpoint.Equals(address))], Invited) : this;

        bool IDataTransferObject.IsReusable => true;

        long? IDataTransferObject.Length => _bytes.Length;

        bool IDataTransferObject.TryGetMemory(out ReadOnlyMemory<byte> memory)
        {
            memory = _bytes;
            return true;
        }

        ValueTask IDataTransferObject.WriteToAsync<TWriter>(TWriter writer, CancellationToken token) => writer.Invoke(_bytes, token);
    }
}
