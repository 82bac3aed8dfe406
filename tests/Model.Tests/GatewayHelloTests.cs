using System.Buffers;
using CsCheck;
using Quicksilver.Contracts;

namespace Quicksilver.Model.Tests;

/// <summary>
/// Goal: the answer to a hello is read whatever pieces it comes in, and nothing else is taken for one. Method: encode, then
/// decode byte by byte, cut, changed and at random.
/// </summary>
public sealed class GatewayHelloTests
{
    private static readonly GatewayHello Hello = new(
        "qs-eu", "quicksilver", NodeId.Parse("eu-0"), RegionName.Parse("eu"), NodeRole.Replica, ["10.0.0.1:30000", "[::1]:30001", ""]);

    private static void AssertSame(GatewayHello expected, GatewayHello? actual)
    {
        Assert.NotNull(actual);
        Assert.Equal(expected.Gateways, actual.Gateways);
        Assert.Equal(expected, actual with { Gateways = expected.Gateways });
    }

    [Fact]
    public void A_hello_arrives_byte_by_byte()
    {
        var bytes = Hello.Encode();
        for (var length = 0; length < bytes.Length; length++)
        {
            Assert.Equal(OperationStatus.NeedMoreData, GatewayHello.TryDecode(bytes.AsSpan(0, length), out var early));
            Assert.Null(early);
        }

        Assert.Equal(OperationStatus.Done, GatewayHello.TryDecode(bytes, out var hello));
        AssertSame(Hello, hello);
    }

    [Fact]
    public void Any_hello_is_read_back() => Gen.Select(Gen.String[0, 50], Gen.String[0, 50], Gen.Bool.Select(hub => hub ? NodeRole.Hub : NodeRole.Replica), Gen.String[0, 30].Array[0, 20]).Sample(
        (cluster, service, role, gateways) =>
        {
            var sent = new GatewayHello(Utf8(cluster), Utf8(service), NodeId.Parse("n"), RegionName.Parse("r"), role, [.. gateways.Select(Utf8)]);
            Assert.Equal(OperationStatus.Done, GatewayHello.TryDecode(sent.Encode(), out var hello));
            AssertSame(sent, hello);

            // A lone surrogate is no text.
            static string Utf8(string text) => System.Text.Encoding.UTF8.GetString(System.Text.Encoding.UTF8.GetBytes(text));
        });

    [Fact]
    public void The_bytes_of_a_hello_are_those_of_the_golden_file()
    {
        var golden = Quicksilver.Testing.Golden.Check("gateway-hello", Hello.Encode());
        Assert.Equal(OperationStatus.Done, GatewayHello.TryDecode(golden, out var hello));
        AssertSame(Hello, hello);
    }

    [Fact]
    public void What_does_not_begin_like_a_hello_is_refused_at_its_first_wrong_byte()
    {
        var bytes = Hello.Encode();
        for (var at = 0; at < GatewayHello.Request.Length; at++)
        {
            var other = bytes.AsSpan(0, at + 1).ToArray();
            other[at] ^= 0x20;
            Assert.Equal(OperationStatus.InvalidData, GatewayHello.TryDecode(other, out _));
        }

        Assert.Equal(OperationStatus.InvalidData, GatewayHello.TryDecode("HTTP/1.1 400 Bad Request\r\n"u8, out _));
    }

    [Fact]
    public void A_hello_that_claims_to_be_larger_than_any_is_refused_before_it_is_waited_for() => Assert.Equal(
        OperationStatus.InvalidData, GatewayHello.TryDecode([.. GatewayHello.Request, 0, 0, 0x40, 1], out _));

    [Fact]
    public void A_hello_whose_length_ends_before_its_content_is_refused_whatever_follows()
    {
        var bytes = Hello.Encode();
        bytes[GatewayHello.Request.Length + 3]--;
        Assert.Equal(OperationStatus.InvalidData, GatewayHello.TryDecode(bytes.AsSpan(0, bytes.Length - 1), out _));
        Assert.Equal(OperationStatus.InvalidData, GatewayHello.TryDecode(bytes, out _));
    }

    [Fact]
    public void A_hello_of_a_node_without_a_valid_name_is_refused() =>
        Assert.Equal(OperationStatus.InvalidData, GatewayHello.TryDecode((Hello with { Node = default }).Encode(), out _));

    [Fact]
    public void A_changed_hello_is_read_or_refused_and_never_throws()
    {
        var bytes = Hello.Encode();
        Gen.Select(Gen.Int[0, bytes.Length - 1], Gen.Byte, Gen.Int[0, bytes.Length]).Sample(
            (at, value, length) =>
            {
                var changed = bytes.ToArray();
                changed[at] = value;
                var status = GatewayHello.TryDecode(changed.AsSpan(0, length), out var hello);
                return status == OperationStatus.Done == hello is not null;
            },
            iter: 10_000);
    }
}
