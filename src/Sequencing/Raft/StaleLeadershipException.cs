using Quicksilver.Model;

namespace Quicksilver.Sequencing;

/// <summary>An entry was not appended, because the leadership that made it is over.</summary>
internal sealed class StaleLeadershipException(Term term) : Exception($"The leadership of term {term} is over.");
