namespace Quicksilver.Model;

/// <summary>What must hold for the prefix deletes of one transaction; the same for who writes it and for who lets it in.</summary>
internal struct PrefixRules
{
    private List<Key>? _prefixes;
    private bool _isOver;

    /// <summary>The next mutation of the transaction; returns what speaks against it, or null.</summary>
    public string? Add(MutationKind kind, Key prefix)
    {
        if (kind != MutationKind.DeletePrefix)
        {
            End();
            return null;
        }

        if (_isOver)
        {
            return "A prefix delete comes behind another mutation; prefix deletes come first.";
        }

        _prefixes ??= [];
        if (_prefixes.Count == Limits.MaxPrefixDeletes)
        {
            return $"The transaction has more than {Limits.MaxPrefixDeletes} prefix deletes (Limits.MaxPrefixDeletes).";
        }

        foreach (var other in _prefixes)
        {
            // Rows below both would be counted twice.
            if (other.Span.StartsWith(prefix.Span) || prefix.Span.StartsWith(other.Span))
            {
                return $"The transaction has two prefix deletes of which one covers the other: '{other}' and '{prefix}'.";
            }
        }

        _prefixes.Add(prefix);
        return null;
    }

    /// <summary>A mutation of another kind has come: no prefix delete may follow.</summary>
    public void End() => _isOver = true;
}
