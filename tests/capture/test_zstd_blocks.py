import random

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from support.examples import only_long

from netwatch.capture.compression import COMPRESSIONS, FEWEST_BLOCKS, MOST_BLOCKS, ZstdBlocks

CONTENT = random.Random(3).randbytes(140_000) + bytes(5_000_000) + b"text " * 200_000
BLOCK = 128 << 10


def compressor(**options):
    parameters = zstandard.ZstdCompressionParameters.from_level(3, **options)
    return zstandard.ZstdCompressor(compression_params=parameters)


FRAMES = {
    "plain": compressor().compress(CONTENT),
    "checksum": compressor(write_checksum=1).compress(CONTENT),
    "no size": compressor(write_content_size=0).compress(CONTENT),
    "streamed": (lambda each: each.compress(CONTENT) + each.flush())(compressor().compressobj()),
    "small": compressor(write_checksum=1).compress(b"small"),
    "empty": compressor().compress(b""),
}


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("size", [1, only_long(2), 3, only_long(7), 1000, 65_536, 1 << 20])
@pytest.mark.parametrize("at_once", [FEWEST_BLOCKS, MOST_BLOCKS])
def test_a_frame_is_taken_in_pieces_that_expand_to_little(name, size, at_once):
    frame, behind = FRAMES[name], b"behind the frame" * 2
    blocks, decompressor = ZstdBlocks(), zstandard.ZstdDecompressor().decompressobj()
    blocks.at_once = at_once
    data, at, content = frame + behind, 0, []
    while at < len(frame):
        taken = blocks.take(data, at, min(size, len(data) - at))
        assert 1 <= taken <= size
        content.append(decompressor.decompress(data[at : at + taken]))
        # One more may have begun before.
        assert len(content[-1]) <= (at_once + 1) * BLOCK
        at += taken
    assert at == len(frame)
    assert decompressor.eof
    assert decompressor.unused_data == b""
    assert b"".join(content) == (
        CONTENT if len(frame) > 100 else {"small": b"small"}.get(name, b"")
    )


def test_more_blocks_are_taken_while_they_give_little():
    small = zstandard.ZstdCompressor().compressobj()
    content = random.Random(4).randbytes(1_500_000)
    pieces = [content[at : at + 5000] for at in range(0, len(content), 5000)] + [bytes(40 * BLOCK)]
    frame = (
        b"".join(
            small.compress(piece) + small.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
            for piece in pieces
        )
        + small.flush()
    )
    decompressor, sizes, at = COMPRESSIONS["zstd"].load().new_member(), [], 0
    while at < len(frame):
        taken = decompressor.input_limit(frame, at, len(frame) - at)
        sizes.append(len(decompressor.decompress(frame[at : at + taken], 2 * BLOCK)))
        at += taken
    assert sum(sizes) == len(content) + 40 * BLOCK
    assert sizes[:4] == [20_000, 40_000, 80_000, 160_000]
    assert max(sizes) <= MOST_BLOCKS * BLOCK
    shrunk = sizes.index(max(sizes)) + 1
    assert max(sizes[shrunk:]) <= FEWEST_BLOCKS * BLOCK


@given(data=st.binary(min_size=1, max_size=300), sizes=st.lists(st.integers(1, 400), min_size=1))
def test_any_bytes_are_taken(data, sizes):
    blocks, at = ZstdBlocks(), 0
    for size in sizes:
        if at == len(data):
            return
        taken = blocks.take(data, at, min(size, len(data) - at))
        assert 1 <= taken <= size
        at += taken
