using System.Text;

namespace Quicksilver.Model;

/// <summary>
/// A command read where it lies. <see cref="Parse"/> checks the header and the outer shape; conditions and mutations are read
/// one by one through the readers it gives out, each checked as it is read. <see cref="Validate"/> walks everything once.
/// </summary>
public readonly ref struct CommandView
{
    private readonly ReadOnlySpan<byte> _conditions;
    private readonly ReadOnlySpan<byte> _mutations;
    private readonly ReadOnlySpan<byte> _body;

    private CommandView(
        CommandKind kind, OperationId operationId, KeyspaceId keyspace, CommandOptions options, int conditionCount,
        ReadOnlySpan<byte> conditions, ReadOnlySpan<byte> mutations, ReadOnlySpan<byte> body)
    {
        Kind = kind;
        OperationId = operationId;
        Keyspace = keyspace;
        Options = options;
        ConditionCount = conditionCount;
        _conditions = conditions;
        _mutations = mutations;
        _body = body;
    }

    public CommandKind Kind { get; }

    public OperationId OperationId { get; }

    /// <summary>Keyspace of a transaction; the catalog for all other kinds.</summary>
    public KeyspaceId Keyspace { get; }

    public CommandOptions Options { get; }

    public int ConditionCount { get; }

    /// <summary>The conditions of a transaction, one after the other.</summary>
    public ByteReader Conditions => new(_conditions);

    /// <summary>The mutations of a transaction with their count in front: exactly the bytes that go into its change-log record.</summary>
    public ReadOnlySpan<byte> MutationBytes => _mutations;

    /// <summary>True for a transaction with prefix deletes. They come first, so one byte tells.</summary>
    public bool DeletesPrefixes
    {
        get
        {
            var reader = new ByteReader(_mutations);
            return Kind == CommandKind.Transaction
                && reader.ReadCount(Limits.MaxMutations, "the number of mutations") > 0
                && (MutationKind)reader.ReadByte() == MutationKind.DeletePrefix;
        }
    }

    /// <summary>Reads the header and finds the parts. Throws <see cref="MalformedDataException"/>.</summary>
    public static CommandView Parse(ReadOnlySpan<byte> command)
    {
        var reader = new ByteReader(command);
        if (reader.ReadByte() is var version and not CommandWriter.FormatVersion)
        {
            throw reader.Malformed($"the command has format version {version}; this build reads {CommandWriter.FormatVersion}");
        }

        var kind = (CommandKind)reader.ReadByte();
        if (kind is < CommandKind.Transaction or > CommandKind.Expire)
        {
            throw reader.Malformed($"command kind {(byte)kind} is unknown to this version");
        }

        var operationId = OperationId.Read(reader.Take(OperationId.SizeBytes));
        if (operationId.IssuedAt.Value < 0)
        {
            throw reader.Malformed("the operation id has a negative time");
        }

        if (kind != CommandKind.Transaction)
        {
            return new(kind, operationId, KeyspaceId.Catalog, CommandOptions.None, 0, default, default, command[reader.Offset..]);
        }

        var keyspace = new KeyspaceId(reader.ReadUInt32());
        var options = (CommandOptions)reader.ReadByte();
        if ((options & ~CommandOptions.SkipUnchanged) != 0)
        {
            throw reader.Malformed($"transaction options {(byte)options} are unknown to this version");
        }

        var conditionCount = reader.ReadCount(Limits.MaxConditions, "the number of conditions");
        var start = reader.Offset;
        var changes = 0;
        for (var i = 0; i < conditionCount; i++)
        {
            changes += ConditionView.Read(ref reader).Kind is ConditionKind.KeyUnchangedSince or ConditionKind.PrefixUnchangedSince ? 1 : 0;
        }

        if (changes > Limits.MaxChangeConditions)
        {
            throw reader.Malformed($"{changes} conditions ask for changes since a revision, the limit is {Limits.MaxChangeConditions}");
        }

        return new(kind, operationId, keyspace, options, conditionCount, command[start..reader.Offset], command[reader.Offset..], default);
    }

    /// <summary>
    /// Walks a command from an untrusted source. Returns what is wrong with it, or null. After null, apply can read all of it
    /// without meeting anything malformed.
    /// </summary>
    public static string? Validate(ReadOnlySpan<byte> command)
    {
        if (command.Length > Limits.MaxTransactionBytes)
        {
            return $"The transaction has {command.Length} bytes; the limit is {Limits.MaxTransactionBytes} (Limits.MaxTransactionBytes).";
        }

        try
        {
            var view = Parse(command);
            switch (view.Kind)
            {
                case CommandKind.Transaction:
                    if (view.Keyspace == KeyspaceId.Catalog)
                    {
                        return "Keyspace 0 is the catalog; change it with the keyspace commands.";
                    }

                    return view.MutationProblem();
                case CommandKind.CreateKeyspace or CommandKind.UpdateKeyspace:
                    view.ReadKeyspaceChange(out _, out _);
                    return null;
                case CommandKind.DeleteKeyspace:
                    view.ReadKeyspaceName(out _);
                    return null;
                default:
                    return $"Commands of kind {view.Kind} are made by the hub itself.";
            }
        }
        catch (MalformedDataException e)
        {
            return e.Message;
        }
    }

    private string? MutationProblem()
    {
        var reader = new ByteReader(_mutations);
        var count = reader.ReadCount(Limits.MaxMutations, "the number of mutations");
        if (count == 0)
        {
            return "The transaction has no mutation; a transaction changes at least one key.";
        }

        // A claim costs no memory: a mutation has at least kind, length and one byte of key.
        if (count > reader.Remaining / 3)
        {
            return $"{count} mutations do not fit the {reader.Remaining} bytes that are there.";
        }

        var keys = count > 1 ? new HashSet<Key>(count) : null;
        var prefixes = new PrefixRules();
        for (var i = 0; i < count; i++)
        {
            var mutation = MutationFormat.Read(ref reader);
            if (mutation.Kind == MutationKind.DeletePrefix)
            {
                if (prefixes.Add(mutation.Kind, Key.From(mutation.Key)) is { } problem)
                {
                    return problem;
                }

                continue;
            }

            if (!mutation.IsPut && mutation.Kind != MutationKind.Delete)
            {
                return $"Mutations of kind {mutation.Kind} are made by the hub itself.";
            }

            prefixes.End();

            if (keys is not null && !keys.Add(Key.From(mutation.Key)))
            {
                return "The transaction has two mutations of one key; it may have one per key.";
            }
        }

        reader.ExpectEnd();
        return null;
    }

    /// <summary>Body of a create or update keyspace command.</summary>
    public void ReadKeyspaceChange(out KeyspaceName name, out KeyspaceSettings settings)
    {
        var reader = new ByteReader(_body);
        name = ReadName(ref reader);
        settings = KeyspaceSettingsFormat.Read(ref reader);
        reader.ExpectEnd();
    }

    /// <summary>Body of a delete keyspace command.</summary>
    public void ReadKeyspaceName(out KeyspaceName name)
    {
        var reader = new ByteReader(_body);
        name = ReadName(ref reader);
        reader.ExpectEnd();
    }

    /// <summary>Body of a form cluster command.</summary>
    public void ReadFormCluster(out ClusterUuid cluster, out HistoryId history)
    {
        var reader = new ByteReader(_body);
        cluster = ClusterUuid.Read(reader.Take(ClusterUuid.SizeBytes));
        history = HistoryId.Read(reader.Take(HistoryId.SizeBytes));
        reader.ExpectEnd();
    }

    /// <summary>Body of a raise feature level command.</summary>
    public int ReadFeatureLevel()
    {
        var reader = new ByteReader(_body);
        var level = reader.ReadCount(int.MaxValue, "the feature level");
        reader.ExpectEnd();
        return level;
    }

    /// <summary>Body of an expire command.</summary>
    public IReadOnlyList<Expiry> ReadExpiries(out KeyspaceId keyspace)
    {
        var reader = new ByteReader(_body);
        keyspace = new(reader.ReadUInt32());
        var count = reader.ReadCount(Limits.MaxMutations, "the number of expired keys");
        var expiries = new List<Expiry>();
        for (var i = 0; i < count; i++)
        {
            expiries.Add(new(new(reader.ReadPosition()), keyspace, new(reader.ReadPosition()), Key.From(MutationFormat.ReadKey(ref reader))));
        }

        reader.ExpectEnd();
        return expiries;
    }

    private static KeyspaceName ReadName(ref ByteReader reader)
    {
        var text = Encoding.Latin1.GetString(reader.ReadBytes(Names.MaxLength, "the name's length"));
        return KeyspaceName.TryParse(text, out var name) ? name : throw reader.Malformed("the keyspace name breaks the rule for names");
    }
}

/// <summary>One condition as it lies in its source bytes.</summary>
public readonly ref struct ConditionView
{
    private ConditionView(ConditionKind kind, ReadOnlySpan<byte> key, Revision revision)
    {
        Kind = kind;
        Key = key;
        Revision = revision;
    }

    public ConditionKind Kind { get; }

    public ReadOnlySpan<byte> Key { get; }

    public Revision Revision { get; }

    public static ConditionView Read(ref ByteReader reader)
    {
        var kind = (ConditionKind)reader.ReadByte();
        if (kind is < ConditionKind.Absent or > ConditionKind.PrefixUnchangedSince)
        {
            throw reader.Malformed($"condition kind {(byte)kind} is unknown to this version");
        }

        var key = MutationFormat.ReadKey(ref reader);
        return new(kind, key, new Revision(reader.ReadVarint()));
    }
}
