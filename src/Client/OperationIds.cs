using System.Security.Cryptography;
using Quicksilver.Model;

namespace Quicksilver.Client;

/// <summary>
/// Makes operation ids. Two that are equal would be one write, so their bytes come from the system's good source; many at a time, because
/// each question costs as much as the rest of a write's encoding. Thread-safe.
/// </summary>
internal sealed class OperationIds
{
    private const int BytesOfId = 16;

    private readonly Lock _gate = new();
    private readonly byte[] _random = new byte[256 * BytesOfId];
    private int _used;

    public OperationIds() => _used = _random.Length;

    public OperationId Next(LogTime issuedAt)
    {
        lock (_gate)
        {
            if (_used == _random.Length)
            {
                RandomNumberGenerator.Fill(_random);
                _used = 0;
            }

            _used += BytesOfId;
            return OperationId.Create(issuedAt, _random.AsSpan(_used - BytesOfId, BytesOfId));
        }
    }
}
