"""Every class of input goes the whole way and comes out with its times, streams and picture facts.

What is checked here is read with PyAV directly, not with vidsr's own reader; `vidsr verify` is asked as well.
"""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition
from numpy.typing import NDArray

import vidsr
from tests import corpus
from tests.corpus import CLASSES, CorpusClass
from vidsr.media.verify import verify

OVERRIDES = {
    "restore.restorer": "bicubic",
    "restore.scale": 2,
    "caption.captioner": "none",
    "encode.preset": "ultrafast",
    "plan.part_frames": 16,
}


@pytest.fixture(scope="module", params=sorted(CLASSES))
def case(request: pytest.FixtureRequest, corpus_folder: Path, tmp_path_factory: pytest.TempPathFactory):
    name: str = request.param
    source = corpus.make(name, corpus_folder)
    folder = tmp_path_factory.mktemp(name)
    report = vidsr.enhance(source, folder / f"out{_suffix(source)}", overrides=OVERRIDES)
    assert sorted(path.name for path in folder.iterdir()) == [report.output.name], "something was left behind"
    return CLASSES[name], source, report.output, vidsr.plan(source, report.output, overrides=OVERRIDES)


def _suffix(source: Path) -> str:
    return source.suffix if source.suffix in {".mp4", ".mov", ".mkv"} else ".mkv"


def _video(container: av.container.InputContainer) -> av.video.stream.VideoStream:
    return next(
        stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic
    )


def test_every_frame_has_its_time(case) -> None:
    facts, _, output, plan = case
    facts: CorpusClass
    with av.open(str(output)) as container:
        stream = _video(container)
        tick = stream.time_base
        times = [frame.pts * tick for frame in container.decode(stream)]
    assert len(times) == facts.num_frames
    for got, wanted in zip(times, facts.times, strict=True):
        assert abs(got - wanted - plan.output.offset) <= facts.tick + tick


def test_verify_agrees(case) -> None:
    _, source, output, _ = case
    report = verify(source, output)
    assert report.ok, report.differences


def test_sound_is_copied_byte_by_byte(case) -> None:
    _, source, output, _ = case
    assert _sound(source) == _sound(output)


def _sound(path: Path) -> list[list[bytes]]:
    with av.open(str(path)) as container:
        packets: dict[int, list[bytes]] = {stream.index: [] for stream in container.streams.audio}
        for packet in container.demux():
            if packet.size and packet.stream.index in packets:
                packets[packet.stream.index].append(bytes(packet))
    return list(packets.values())


def test_no_stream_is_missing(case) -> None:
    facts, _, output, _ = case
    with av.open(str(output)) as container:
        kinds = [
            stream.type
            for stream in container.streams
            if stream is not _video(container) and stream.type in {"audio", "subtitle", "attachment", "video"}
        ]
        languages = [stream.metadata.get("language", "") for stream in container.streams.audio]
        num_chapters = len(container.chapters())
    wanted = [track.kind for track in facts.tracks if track.kind != "data"]
    assert sorted(kinds) == sorted(wanted)
    assert num_chapters == facts.num_chapters
    for got, track in zip(languages, [track for track in facts.tracks if track.kind == "audio"], strict=True):
        assert got in {track.language, "und"} if not track.language else got == track.language


def test_the_picture_keeps_its_facts(case) -> None:
    facts, _, output, _ = case
    with av.open(str(output)) as container:
        stream = _video(container)
        frame = next(container.decode(stream))
        aspect = stream.sample_aspect_ratio or Fraction(1)
        matrix = frame.side_data.get(SideDataType.DISPLAYMATRIX)
    assert (frame.width, frame.height) == (2 * facts.width, 2 * facts.height)
    assert aspect == facts.sample_aspect_ratio
    assert max(component.bits for component in frame.format.components) >= facts.bit_depth
    assert (matrix is not None) == (facts.display_matrix is not None)
    if facts.display_matrix is not None:
        assert tuple(np.frombuffer(matrix, dtype="<i4").tolist()) == facts.display_matrix
    if facts.pix_fmt.startswith("yuv"):  # gray and RGB become YCbCr, in the encoder's usual range
        assert facts.matrix is None or frame.colorspace == facts.matrix
        assert facts.full_range is None or (frame.color_range == 2) == facts.full_range


def test_colours_stay(case) -> None:
    """By the tags of each file, as a player would show them.

    Chroma is sited differently by PyAV's conversion at another size, which moves saturated fields by up to 4
    levels; a wrong matrix or range moves them by up to 20.
    """
    _, source, output, _ = case
    np.testing.assert_allclose(_mean_colours(source), _mean_colours(output), atol=5)


def _mean_colours(path: Path) -> NDArray[np.float64]:
    """Return the mean of red, green and blue in each of 4 x 4 fields of the first picture. [4, 4, 3]"""
    with av.open(str(path)) as container:
        frame = next(container.decode(_video(container)))
    pixels = frame.to_ndarray(format="rgb24").astype(np.float64)
    height, width = (side // 4 * 4 for side in pixels.shape[:2])
    return pixels[:height, :width].reshape(4, height // 4, 4, width // 4, 3).mean((1, 3))
