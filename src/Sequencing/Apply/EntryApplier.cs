using System.Diagnostics;
using System.Text;
using Quicksilver.Model;
using Quicksilver.Storage;

namespace Quicksilver.Sequencing;

/// <summary>What an applied entry did.</summary>
public sealed record AppliedEntry(ProposalId Proposal, CommitOutcome[] Outcomes, StoreProgress Progress);

/// <summary>
/// Applies Raft entries to the store: the place where commands become transactions, and the only one that judges them.
/// Deterministic: no clock, no randomness, nothing but the entry and the state before it. Not safe for concurrent use. Whatever it
/// throws means that this member cannot go on; the entry has had no effect then.
/// </summary>
public sealed class EntryApplier
{
    /// <summary>Highest feature level this build can apply.</summary>
    public const int SupportedFeatureLevel = 1;

    /// <summary>The level that every hub is formed with, whatever its builds can do: all must make the same of the first entry.</summary>
    public const int FirstFeatureLevel = 1;

    private readonly int _supportedLevel;

    private readonly NodeStore _store;
    private readonly ApplyBatch _batch;
    private readonly RecentOperations _recent;
    private readonly ConditionJudge _conditions;
    private readonly PrefixGuard _prefixes;

    /// <param name="supportedLevel">Highest feature level that may be applied; above it a member stops.</param>
    public EntryApplier(NodeStore store, OperationWindow window, int supportedLevel = SupportedFeatureLevel)
    {
        if (!store.Progress.Subscription.IsAll)
        {
            throw new StorageException(StorageFault.Foreign, $"The data directory holds {store.Progress.Subscription} only: it was a replica's. A hub member holds everything; give it another directory.");
        }

        _supportedLevel = supportedLevel;
        _store = store;
        _batch = new(store) { IndexesExpiry = true };
        _conditions = new(_batch);
        _prefixes = new(_batch);
        _recent = new(window);
        using var view = store.AcquireView();
        _recent.Rebuild(view);
    }

    /// <summary>Operation ids in memory.</summary>
    public int RememberedOperations => _recent.Count;

    /// <summary>The span below which an entry is applied, where its way here is traced. It has no say in what apply does.</summary>
    internal Func<ProposalId, Activity?>? SpanOf { get; set; }

    /// <summary>Applies the entry at <paramref name="index"/>; null where the store has it already.</summary>
    public AppliedEntry? Apply(LogIndex index, ReadOnlySpan<byte> entry)
    {
        if (index <= _store.Progress.AppliedIndex)
        {
            return null;
        }

        try
        {
            var reader = new ByteReader(entry);
            var header = EntryFormat.ReadHeader(ref reader, out var count);
            using var traced = StartSpan(header.Proposal);
            _batch.Begin();
            _conditions.Begin();
            _prefixes.Begin();
            _batch.TrackRows = JudgesRows(reader, count);
            CheckChain(index, header);

            // Never back: a new leader may have stamped its first entry before it had applied the last one of the old leader.
            var now = header.LogTime > _store.Progress.LogTime ? header.LogTime : _store.Progress.LogTime;
            _recent.Advance(now);
            var outcomes = new CommitOutcome[count];
            for (var i = 0; i < count; i++)
            {
                var command = EntryFormat.ReadCommand(ref reader, out var principal);
                outcomes[i] = ApplyCommand(CommandView.Parse(command), ChainHash.DigestOf(command), principal, now);
            }

            reader.ExpectEnd();
            _batch.OperationsFloor = _recent.CountFloor;
            var applied = new AppliedEntry(header.Proposal, outcomes, _batch.Commit(index, now));
            traced.Span?.SetTag(Traces.CommandsTag, count).SetTag(Traces.IndexTag, index.Value).SetTag(Traces.RevisionTag, applied.Progress.Position.Revision.Value);
            return applied;
        }
        catch
        {
            _batch.Reset();
            throw;
        }
    }

    private GuardedSpan StartSpan(ProposalId proposal) => Traces.Source.HasListeners() && SpanOf?.Invoke(proposal) is { } raft
        ? Traces.Guard(() => Traces.Source.StartActivity(Traces.Apply, ActivityKind.Internal, raft.Context))
        : default;

    /// <summary>
    /// True where a command of the entry looks at rows, so that rows staged before it must be remembered. Everything it asks is
    /// in the entry and the state before it: members must agree on it, restarted or not.
    /// </summary>
    private bool JudgesRows(ByteReader reader, int count)
    {
        for (var i = 0; i < count; i++)
        {
            var command = CommandView.Parse(EntryFormat.ReadCommand(ref reader, out _));
            if (command.ConditionCount > 0
                || command.DeletesPrefixes
                || (command.Options & CommandOptions.SkipUnchanged) != 0
                || command.Kind is CommandKind.CreateKeyspace or CommandKind.UpdateKeyspace or CommandKind.Expire
                || (command.Kind == CommandKind.Transaction && _batch.FindKeyspace(command.Keyspace) is { Settings.SkipUnchanged: true }))
            {
                return true;
            }
        }

        return false;
    }

    private void CheckChain(LogIndex index, in EntryHeader header)
    {
        // An entry made before the cluster was formed knows no chain yet.
        if (_batch.Cluster.IsNone || header.Chain == ChainHash.Empty)
        {
            return;
        }

        var chain = header.Revision == _batch.Revision ? _batch.Chain : _batch.Base.FindChain(header.Revision);
        if (chain != header.Chain)
        {
            throw new StorageException(
                StorageFault.Corrupt,
                $"Raft entry {index} was made on revision {header.Revision} with chain {header.Chain}; this member has {chain?.ToString() ?? "no such revision"} there. Its state differs from the leader's: repair this member.");
        }
    }

    private CommitOutcome ApplyCommand(in CommandView command, ChainHash requestHash, ReadOnlySpan<byte> principal, LogTime now)
    {
        switch (command.Kind)
        {
            case CommandKind.FormCluster:
                return Form(command);
            case CommandKind.RaiseFeatureLevel:
                return RaiseFeatureLevel(command);
        }

        // Before the cluster has its uuid there is nothing to write to, and no chain to write on.
        if (_batch.Cluster.IsNone)
        {
            return CommitOutcome.Unavailable;
        }

        if (_recent.Judge(command.OperationId, requestHash, now) is { } known)
        {
            return known;
        }

        switch (command.Kind)
        {
            case CommandKind.Transaction:
                return ApplyTransaction(command, requestHash, principal, now);
            case CommandKind.CreateKeyspace or CommandKind.UpdateKeyspace:
                return ChangeKeyspace(command, requestHash, principal, now);
            case CommandKind.DeleteKeyspace:
                return DeleteKeyspace(command, requestHash, principal, now);
            case CommandKind.Expire:
                return Expire(command, requestHash, principal, now);
            default:
                throw new MalformedDataException($"Command kind {command.Kind} is unknown to this version.");
        }
    }

    private CommitOutcome ApplyTransaction(in CommandView command, ChainHash requestHash, ReadOnlySpan<byte> principal, LogTime now)
    {
        if (command.Keyspace == KeyspaceId.Catalog || _batch.FindKeyspace(command.Keyspace) is not { } keyspace)
        {
            return CommitOutcome.KeyspaceNotFound;
        }

        if (_conditions.Judge(command) is { } failed)
        {
            return failed;
        }

        if (_prefixes.Judge(command, out var rows) is { } refused)
        {
            return refused;
        }

        if (((command.Options & CommandOptions.SkipUnchanged) != 0 || keyspace.Settings.SkipUnchanged) && rows == 0 && ChangesNothing(command))
        {
            return CommitOutcome.Unchanged(_batch.Revision);
        }

        return Append(command.Keyspace, command.OperationId, requestHash, principal, command.MutationBytes, now);
    }

    /// <summary>The prefix deletes of the command, where it has any, find no row: that was counted.</summary>
    private bool ChangesNothing(in CommandView command)
    {
        var reader = new ByteReader(command.MutationBytes);
        for (var left = reader.ReadCount(Limits.MaxMutations, "the number of mutations"); left > 0; left--)
        {
            var mutation = MutationFormat.Read(ref reader);
            if (mutation.Kind != MutationKind.DeletePrefix && !_batch.WouldChangeNothing(command.Keyspace, mutation))
            {
                return false;
            }
        }

        return true;
    }

    private CommitOutcome ChangeKeyspace(in CommandView command, ChainHash requestHash, ReadOnlySpan<byte> principal, LogTime now)
    {
        command.ReadKeyspaceChange(out var name, out var settings);
        var known = _batch.FindKeyspace(name);
        if (known is not null && known.Settings == settings)
        {
            return CommitOutcome.Unchanged(_batch.Revision);
        }

        if (command.Kind == CommandKind.CreateKeyspace && known is not null)
        {
            return CommitOutcome.KeyspaceExists(known.CreatedAt);
        }

        if (command.Kind == CommandKind.UpdateKeyspace && known is null)
        {
            return CommitOutcome.KeyspaceNotFound;
        }

        if (known is null && _batch.NextKeyspace.Value == uint.MaxValue)
        {
            return CommitOutcome.Invalid("All keyspace ids have been used.");
        }

        var row = CatalogRow.Write(known?.Id ?? _batch.NextKeyspace, settings, known?.CreatedAt ?? _batch.Revision.Next);
        var mutations = new ByteWriter();
        mutations.WriteVarint(1);
        MutationFormat.Write(mutations, MutationKind.Put, Encoding.ASCII.GetBytes(name.Value), default, row);
        return Append(KeyspaceId.Catalog, command.OperationId, requestHash, principal, mutations.WrittenSpan, now);
    }

    private CommitOutcome DeleteKeyspace(in CommandView command, ChainHash requestHash, ReadOnlySpan<byte> principal, LogTime now)
    {
        command.ReadKeyspaceName(out var name);
        if (_batch.FindKeyspace(name) is not { } known)
        {
            return CommitOutcome.KeyspaceNotFound;
        }

        var mutations = new ByteWriter();
        mutations.WriteVarint(2);
        MutationFormat.Write(mutations, MutationKind.Delete, Encoding.ASCII.GetBytes(name.Value), default, default);
        MutationFormat.WriteDropKeyspace(mutations, known.Id);
        return Append(KeyspaceId.Catalog, command.OperationId, requestHash, principal, mutations.WrittenSpan, now);
    }

    /// <summary>Deletes what is over and was not put again since. The rest of what the command names is only noted no more.</summary>
    private CommitOutcome Expire(in CommandView command, ChainHash requestHash, ReadOnlySpan<byte> principal, LogTime now)
    {
        var expiries = command.ReadExpiries(out var keyspace);
        var exists = _batch.FindKeyspace(keyspace) is not null;
        var deletes = new ByteWriter();
        var count = 0;
        foreach (var expiry in expiries)
        {
            // By the log and not by the clock of the one who asks.
            if (expiry.At > now)
            {
                continue;
            }

            _batch.DropExpiry(expiry);
            if (exists && _batch.RowRevision(keyspace, expiry.Key.Span) == expiry.Revision)
            {
                MutationFormat.Write(deletes, MutationKind.Delete, expiry.Key.Span, default, default);
                count++;
            }
        }

        if (count == 0)
        {
            return CommitOutcome.Unchanged(_batch.Revision);
        }

        var mutations = new ByteWriter(deletes.Length + 4);
        mutations.WriteVarint(count);
        mutations.WriteRaw(deletes.WrittenSpan);
        return Append(keyspace, command.OperationId, requestHash, principal, mutations.WrittenSpan, now);
    }

    private CommitOutcome Append(
        KeyspaceId keyspace, OperationId operationId, ChainHash requestHash, ReadOnlySpan<byte> principal, ReadOnlySpan<byte> mutations, LogTime now)
    {
        var revision = _batch.Append(keyspace, now, operationId, requestHash, principal, mutations);
        _recent.Remember(operationId, revision, requestHash, now);
        return CommitOutcome.Committed(revision);
    }

    private CommitOutcome Form(in CommandView command)
    {
        if (!_batch.Cluster.IsNone)
        {
            return CommitOutcome.Unchanged(_batch.Revision);
        }

        command.ReadFormCluster(out var cluster, out var history);
        _batch.Adopt(cluster, history);
        _batch.SetFeatureLevel(FirstFeatureLevel);
        return CommitOutcome.Committed(_batch.Revision);
    }

    private CommitOutcome RaiseFeatureLevel(in CommandView command)
    {
        var level = command.ReadFeatureLevel();
        if (level > _supportedLevel)
        {
            throw new StorageException(StorageFault.Foreign, $"The hub moved to feature level {level}; this build applies up to {_supportedLevel}. Upgrade this member.");
        }

        if (level <= _batch.FeatureLevel)
        {
            return CommitOutcome.Unchanged(_batch.Revision);
        }

        _batch.SetFeatureLevel(level);
        return CommitOutcome.Committed(_batch.Revision);
    }
}
