using System.Text;
using CsCheck;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Replication.Tests;

/// <summary>
/// Goal: what was packed comes out as it was, or is refused; small records of a kind become small; what does not pay is sent as it is.
/// Method: both sides of a session on random and on natural pages; damaged and forged ones.
/// </summary>
public sealed class PageCompressionTests
{
    private static LogPage Page(byte[] records) => new(
        PageStatus.Ok, new(1, 2), new(LogId.Main, new(3, 4), new(9)), new(1), new(1), TimeSpan.Zero, new(1), new(2), new(records));

    private static byte[] Json(int i) => Encoding.UTF8.GetBytes(
        $$"""{"route":"/shop/{{i % 37}}/items","upstream":"http://10.1.{{i % 7}}.{{i % 250}}:8080","timeoutMs":{{1000 + (i % 9)}},"retries":{{i % 4}},"flags":["canary","{{i % 5}}"],"updatedBy":"deploy-{{i}}"}""");

    [Fact]
    public void Pages_of_any_bytes_come_out_as_they_were_in_their_order() => Gen.Byte[0, 3].Array[0, 400].Select(part => part).Array[0, 20].Sample(pages =>
    {
        var (source, child) = (new PageCompression(), new PageCompression());
        foreach (var records in pages)
        {
            var sent = source.Compress(Page(records));
            Assert.True(sent.Records.Length <= records.Length);
            var got = child.Decompress(sent);
            Assert.Equal(records, got.Records.Memory.ToArray());
            Assert.Equal((PageEncoding.None, 0), (got.Encoding, got.RawBytes));
        }
    });

    [Fact]
    public void Large_and_small_pages_in_turn_keep_the_two_sides_alike()
    {
        var random = new Random(5);
        var (source, child) = (new PageCompression(), new PageCompression());
        for (var i = 0; i < 300; i++)
        {
            var records = new byte[random.Next(4) == 0 ? random.Next(200_000) : random.Next(500)];
            for (var j = 0; j < records.Length; j++)
            {
                records[j] = (byte)(random.Next(10) == 0 ? random.Next(256) : j % 17);
            }

            Assert.Equal(records, child.Decompress(source.Compress(Page(records))).Records.Memory.ToArray());
        }
    }

    [Fact]
    public void One_small_record_of_a_kind_that_was_sent_before_takes_a_third_of_its_bytes_at_most()
    {
        var source = new PageCompression();
        var (raw, sent) = (0, 0);
        for (var i = 0; i < 300; i++)
        {
            var page = source.Compress(Page(Json(i)));
            if (i >= 20)
            {
                (raw, sent) = (raw + Json(i).Length, sent + page.Records.Length);
            }
        }

        Assert.True(sent * 3 < raw, $"{sent} of {raw} bytes");
    }

    [Fact]
    public void Bytes_that_do_not_become_smaller_are_sent_as_they_are_and_seldom_tried()
    {
        var random = new Random(6);
        var (source, child) = (new PageCompression(), new PageCompression());
        for (var i = 0; i < 100; i++)
        {
            var records = new byte[2_000];
            random.NextBytes(records);
            var sent = source.Compress(Page(records));
            Assert.Equal(PageEncoding.None, sent.Encoding);
            child.Decompress(sent);
        }

        // It is noticed again when they do.
        var packed = 0;
        for (var i = 0; i < 100; i++)
        {
            var sent = source.Compress(Page([.. Json(1), .. Json(2)]));
            packed += sent.Encoding == PageEncoding.Zstd ? 1 : 0;
            Assert.Equal([.. Json(1), .. Json(2)], child.Decompress(sent).Records.Memory.ToArray());
        }

        Assert.True(packed > 60, $"{packed}");
    }

    [Fact]
    public void A_page_that_is_not_what_it_says_is_refused_without_taking_memory_for_it()
    {
        var good = new PageCompression().Compress(Page([.. Json(1), .. Json(1), .. Json(1)]));
        Assert.Equal(PageEncoding.Zstd, good.Encoding);
        foreach (var bad in new[]
        {
            good with { RawBytes = good.RawBytes + 1 }, good with { RawBytes = good.RawBytes - 1 }, good with { RawBytes = 0 }, good with { RawBytes = -1 },
            good with { RawBytes = int.MaxValue }, good with { Encoding = (PageEncoding)9 }, good with { Records = default },
            good with { Records = new(good.Records.Memory[..^1]) }, good with { Records = new(new byte[50]) },
        })
        {
            Assert.Throws<MalformedDataException>(() => new PageCompression().Decompress(bad));
        }
    }

    [Fact]
    public void A_damaged_page_is_refused_or_comes_out_wrong_and_never_breaks_anything()
    {
        var good = new PageCompression().Compress(Page([.. Json(1), .. Json(2), .. Json(3)]));
        for (var bit = 0; bit < good.Records.Length * 8; bit++)
        {
            var damaged = good.Records.Memory.ToArray();
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));
            try
            {
                // The chains of the records tell the difference where this does not.
                Assert.Equal(good.RawBytes, new PageCompression().Decompress(good with { Records = new(damaged) }).Records.Length);
            }
            catch (MalformedDataException)
            {
                // As it should be.
            }
        }
    }
}
