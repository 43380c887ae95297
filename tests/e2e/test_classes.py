"""Every class of input goes the whole way and comes out with all that was true of it, or is refused.

What is checked here is read with PyAV directly, not with vidsr's own reader; `vidsr verify` is asked as well.
The inputs are those of tests/corpus and, where VIDSR_CORPUS_DIR names a folder, those in it, with what is
expected written beside each: see docs/reliability.md.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
from tests.corpus import EVERY, Outcome
from tests.corpus.folder import expectations_in
from tests.overrides import QUICK
from vidsr.media.verify import verify
from vidsr.types import Plan

OVERRIDES = QUICK | {"plan.part_frames": 16}
MATROSKA_TICK = Fraction(1, 1000)
BY_MODEL = ("two_frames", "tiny", "odd_420")
"""Classes that also go through the embedded model."""


@dataclass(frozen=True, kw_only=True)
class Input:
    """Something to restore, and what is expected of it."""

    make: Callable[[Path], Path]
    expected: Outcome
    output_suffix: str | None = None
    is_slow: bool = False


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a run came to."""

    source: Path
    output: Path
    plan: Plan
    expected: Outcome
    exit_code: int
    said: tuple[str, ...]


def _inputs() -> dict[str, Input]:
    inputs = {
        name: Input(
            make=lambda folder, name=name: corpus.make(name, folder),
            expected=facts.expected,
            output_suffix=facts.output_suffix,
            is_slow=facts.is_slow,
        )
        for name, facts in EVERY.items()
    }
    if folder := os.environ.get("VIDSR_CORPUS_DIR"):
        for path, expected in expectations_in(Path(folder)).items():
            inputs[f"folder-{path.name}"] = Input(make=lambda _folder, path=path: path, expected=expected)
    return inputs


INPUTS = _inputs()


def _params(*, are_refused: bool) -> list[object]:
    return [
        pytest.param(name, marks=(pytest.mark.slow, pytest.mark.timeout(1800)) if entry.is_slow else ())
        for name, entry in INPUTS.items()
        if (entry.expected.exit_code not in {0, 4}) == are_refused
    ]


@pytest.fixture(scope="module", params=_params(are_refused=False))
def case(
    request: pytest.FixtureRequest, corpus_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Case:
    entry = INPUTS[request.param]
    source = entry.make(corpus_folder)
    folder = tmp_path_factory.mktemp("case")
    suffix = entry.output_suffix or _suffix(source)
    plan = vidsr.plan(source, folder / f"out{suffix}", overrides=OVERRIDES)
    report = vidsr.enhance(source, folder / f"out{suffix}", overrides=OVERRIDES)
    assert sorted(path.name for path in folder.iterdir()) == [report.output.name], "something was left behind"
    return Case(
        source=source,
        output=report.output,
        plan=plan,
        expected=entry.expected,
        exit_code=report.exit_code,
        said=tuple(report.warnings),
    )


def _suffix(source: Path) -> str:
    return source.suffix if source.suffix in {".mp4", ".mov", ".mkv"} else ".mkv"


def _open(path: Path) -> av.container.InputContainer:
    return av.open(f"file:{path}", metadata_errors="replace")


def _pictures(container: av.container.InputContainer) -> list[av.video.stream.VideoStream]:
    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def _before(case: Case, container: av.container.InputContainer) -> av.video.stream.VideoStream:
    """Return the source's stream that is restored."""
    return container.streams[case.plan.info.video.stream_index]


def _after(case: Case, container: av.container.InputContainer) -> av.video.stream.VideoStream:
    """Return the output's restored stream: as many pictures are before it as in the source."""
    with _open(case.source) as source:
        index = _pictures(source).index(_before(case, source))
    return _pictures(container)[index]


def _first_frames(case: Case) -> tuple[av.VideoFrame, av.VideoFrame]:
    """Return the first frame of the source and of the output."""
    with _open(case.source) as source, _open(case.output) as output:
        return next(source.decode(_before(case, source))), next(output.decode(_after(case, output)))


@pytest.mark.parametrize("name", _params(are_refused=True))
def test_what_cannot_be_restored_is_refused_and_leaves_nothing(
    name: str, corpus_folder: Path, tmp_path: Path
) -> None:
    entry = INPUTS[name]
    source = entry.make(corpus_folder)
    for act in (vidsr.plan, vidsr.enhance):
        with pytest.raises(vidsr.VidsrError) as caught:
            act(source, tmp_path / "out.mkv", overrides=OVERRIDES)
        assert caught.value.exit_code == entry.expected.exit_code
        assert all(words in str(caught.value) for words in entry.expected.says), str(caught.value)
        assert source.name in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_it_ends_with_its_exit_code_and_says_what_it_did(case: Case) -> None:
    """Nothing is said that is not expected, and everything that is expected is said."""
    assert case.exit_code == case.expected.exit_code, case.said
    for message in case.said:
        assert any(words in message for words in case.expected.says), message
    for words in case.expected.says:
        assert any(words in message for message in case.said), (words, case.said)


def test_every_frame_has_its_time(case: Case) -> None:
    with _open(case.output) as container:
        stream = _after(case, container)
        tick = stream.time_base
        times = [frame.pts * tick for frame in container.decode(stream)]
    if case.expected.num_frames is not None:
        assert len(times) == case.expected.num_frames
    if case.expected.times is not None:
        for got, wanted in zip(times, case.expected.times, strict=True):
            assert abs(got - wanted - case.plan.output.offset) <= case.expected.tick + tick


def test_verify_agrees(case: Case) -> None:
    report = verify(case.source, case.output)
    assert report.ok, report.differences


def test_sound_is_copied_byte_by_byte(case: Case) -> None:
    assert _sound(case.source) == _sound(case.output)


def _sound(path: Path) -> list[bytes]:
    """Return each stream of sound.

    The headers are taken off that only transport streams put before AAC; what has lost its own is no packet.
    """
    with _open(path) as container:
        streams = {stream.index: bytearray() for stream in container.streams.audio}
        packets = container.demux([container.streams[index] for index in streams]) if streams else iter(())
        for packet in _readable(packets):
            payload, context = bytes(packet), packet.stream.codec_context
            is_framed = context.name == "aac" and not context.extradata
            if not is_framed or payload[:1] == b"\xff":
                streams[packet.stream.index] += payload[7:] if is_framed else payload
    return [bytes(content) for content in streams.values()]


def _readable(packets: Iterator[av.Packet]) -> Iterator[av.Packet]:
    try:
        yield from (packet for packet in packets if packet.size)
    except av.error.InvalidDataError:
        return  # a damaged file ends there


def test_sound_stays_beside_the_picture(case: Case) -> None:
    """It is moved as the picture is: exactly in mp4 and mov, to a millisecond in Matroska."""
    tolerance = MATROSKA_TICK if case.output.suffix in {".mkv", ".webm"} else Fraction(0)
    for before, after in zip(_first_sounds(case.source), _first_sounds(case.output), strict=True):
        assert abs(after - before - case.plan.output.offset) <= tolerance


def _first_sounds(path: Path) -> list[Fraction]:
    """Return when each stream of sound begins, in seconds."""
    with _open(path) as container:
        firsts: dict[int, Fraction] = {}
        for packet in _readable(container.demux(container.streams.audio)) if container.streams.audio else ():
            firsts.setdefault(packet.stream.index, packet.pts * packet.time_base)
        return [firsts[stream.index] for stream in container.streams.audio]


def test_no_stream_is_missing(case: Case) -> None:
    if case.expected.tracks is None:
        return
    with _open(case.output) as container:
        picture = _after(case, container)
        kept = [stream for stream in container.streams if stream is not picture and stream.type != "data"]
        found = [_described(stream) for stream in kept]
        num_chapters = len(container.chapters())
    wanted = [
        (track.kind, "" if track.kind == "attachment" else track.codec, track.language, track.title)
        for track in case.expected.tracks
    ]
    assert sorted(found) == sorted(wanted)
    assert num_chapters == case.expected.num_chapters


def _described(stream: av.stream.Stream) -> tuple[str, str, str, str]:
    """Return kind, codec, language and title of a stream, empty where there is none."""
    language = stream.metadata.get("language", "und")
    codec = "" if stream.type == "attachment" else stream.codec_context.codec.canonical_name
    title = stream.metadata.get("title", stream.metadata.get("name", ""))
    return stream.type, codec, "" if language == "und" else language, title


def test_title_and_timecode_are_kept(case: Case) -> None:
    with _open(case.source) as before, _open(case.output) as after:
        assert after.metadata.get("title") == before.metadata.get("title")
        wanted = _before(case, before).metadata.get("timecode")
        assert _after(case, after).metadata.get("timecode") == wanted


def test_the_picture_keeps_its_shape(case: Case) -> None:
    expected = case.expected
    with _open(case.output) as container:
        stream = _after(case, container)
        frame = next(container.decode(stream))
        aspect = stream.sample_aspect_ratio or Fraction(1)
        matrix = frame.side_data.get(SideDataType.DISPLAYMATRIX)
    turn = None if matrix is None else tuple(np.frombuffer(matrix, dtype="<i4").tolist())
    found = {
        "width": frame.width,
        "height": frame.height,
        "sample_aspect_ratio": aspect,
        "is_turned": turn is not None,
        "display_matrix": turn,
    }
    wanted = {name: getattr(expected, name) for name in found if getattr(expected, name) is not None}
    assert {name: found[name] for name in wanted} == wanted


def test_the_picture_keeps_its_depth_and_colour(case: Case) -> None:
    expected = case.expected
    before, frame = _first_frames(case)
    components = frame.format.components
    with _open(case.output) as container:
        tags = {key.lower(): value for key, value in _after(case, container).metadata.items()}
    found = {
        "matrix": frame.colorspace,
        "primaries": frame.color_primaries,
        "transfer": frame.color_trc,
        "full_range": frame.color_range == 2,
        "has_alpha": any(component.is_alpha for component in components) or tags.get("alpha_mode") == "1",
    }
    wanted = {name: getattr(expected, name) for name in found if getattr(expected, name) is not None}
    assert {name: found[name] for name in wanted} == wanted
    assert max(component.bits for component in components) >= (expected.bit_depth or 8)
    for name in expected.hdr or ():
        kind = getattr(SideDataType, name)
        assert bytes(frame.side_data[kind]) == bytes(before.side_data[kind]), name


def test_colours_stay(case: Case) -> None:
    """By the tags of each file, as a player would show them.

    Chroma is sited differently by PyAV's conversion at another size, which moves saturated fields by up to 4
    levels; a wrong matrix or range moves them by up to 20.
    """
    before, after = _first_frames(case)
    count = 4 if min(before.width, before.height) >= 64 else 1  # of a small picture, all of it
    np.testing.assert_allclose(_mean_colours(before, count), _mean_colours(after, count), atol=5)


def _mean_colours(frame: av.VideoFrame, count: int) -> NDArray[np.float64]:
    """Return the mean of red, green and blue in each of `count` x `count` fields. [count, count, 3]"""
    pixels = frame.to_ndarray(format="rgb24").astype(np.float64)
    height, width = (side // count * count for side in pixels.shape[:2])
    fields = pixels[:height, :width].reshape(count, height // count, count, width // count, 3)
    return fields.mean((1, 3))


@pytest.mark.parametrize("name", BY_MODEL)
def test_the_embedded_model_keeps_them_too(name: str, corpus_folder: Path, tmp_path: Path) -> None:
    facts = EVERY[name]
    output = tmp_path / f"out{facts.suffix}"
    report = vidsr.enhance(
        corpus.make(name, corpus_folder), output, overrides={**OVERRIDES, "restore.restorer": "xpsr-s"}
    )
    assert (report.exit_code, report.num_frames) == (0, facts.num_frames)
    assert verify(corpus.make(name, corpus_folder), output).differences == ()
