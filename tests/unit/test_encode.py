import re
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests import corpus
from vidsr.errors import ConfigError, DiskFullError, MissingCodecError, UnwritableError
from vidsr.media import codecs
from vidsr.media.codecs import CODECS, SPEEDS, CodecFacts, resolve_codec
from vidsr.media.encode import EncodeSettings, SegmentWriter, cpu_features, instruction_options
from vidsr.types import Colour, Frame, OutputPlan

BT709 = Colour(matrix=1, primaries=1, transfer=1, full_range=False, chroma_location=1)
NUM_FRAMES = 12
FASTEST = {
    "h264": "ultrafast",
    "hevc": "ultrafast",
    "av1": "10",
    "vp9": "ultrafast",
    "ffv1": "medium",
    "prores": "proxy",
}
PIX_FMT = {"prores": "yuv422p10le"}


def output_plan(
    *, pix_fmt: str = "yuv420p", width: int = 64, height: int = 64, colour: Colour = BT709, **rest
):
    return OutputPlan(
        container="matroska",
        codec="",
        pix_fmt=pix_fmt,
        width=width,
        height=height,
        colour=colour,
        sample_aspect_ratio=rest.pop("sample_aspect_ratio", Fraction(1)),
        display_matrix=None,
        offset=Fraction(0),
        **rest,
    )


def frames(plan: OutputPlan, *, pix_fmt: str | None = None, count: int = NUM_FRAMES) -> list[Frame]:
    """Noise that moves, different in every plane."""
    pix_fmt = pix_fmt or plan.pix_fmt
    random = np.random.default_rng(7)
    blank = av.VideoFrame(plan.width, plan.height, pix_fmt)
    bits = blank.format.components[0].bits
    dtype = np.uint8 if bits == 8 else np.uint16
    first = [random.integers(0, 1 << bits, (p.height, p.width), dtype=dtype) for p in blank.planes]
    return [
        Frame(
            planes=tuple(np.roll(plane, index, axis=1) for plane in first),
            pix_fmt=pix_fmt,
            width=plan.width,
            height=plan.height,
            colour=plan.colour,
            index=index,
            pts=index * 7,
            time_base=Fraction(1, 90000),
        )
        for index in range(count)
    ]


def settings_of(facts: CodecFacts) -> EncodeSettings:
    return EncodeSettings(codec=facts.name, preset=FASTEST[facts.name], threads=2)


def write(path: Path, plan: OutputPlan, settings: EncodeSettings, content: list[Frame] | None = None) -> Path:
    writer = SegmentWriter(path, settings=settings, output=plan)
    content = frames(plan) if content is None else content
    for frame in content:
        writer.write(frame)
    assert writer.close() == len(content)
    return path


every_codec = pytest.mark.parametrize("facts", CODECS, ids=lambda facts: facts.name)


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        ("h264", "libx264"),
        ("x264", "libx264"),
        ("hevc", "libx265"),
        ("x265", "libx265"),
        ("av1", "libsvtav1"),
        ("ffv1", "ffv1"),
        ("prores", "prores_ks"),
    ],
)
def test_codecs_go_by_the_names_people_use(name: str, encoder: str) -> None:
    assert resolve_codec(name).encoder == encoder


def test_an_unknown_codec_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown codec, did you mean hevc\?; there are: auto, h264, hevc"):
        EncodeSettings(codec="hvec")


def test_a_codec_that_is_not_built_in_is_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    # FFmpeg decodes Bink and has never encoded it.
    facts = CodecFacts(name="new", encoder="binkvideo", codec="bink", presets={}, max_crf=None, options={})
    monkeypatch.setattr(codecs, "CODECS", (facts,))
    with pytest.raises(MissingCodecError, match="binkvideo is not in this FFmpeg build"):
        resolve_codec("new")


def test_an_unknown_preset_is_answered_with_the_nearest() -> None:
    with pytest.raises(
        ConfigError, match=r"encode\.preset=mediun: h264 has no such preset, did you mean medium"
    ):
        EncodeSettings(preset="mediun")


@pytest.mark.parametrize(("codec", "crf"), [("h264", 52), ("h264", -1), ("av1", 64)])
def test_a_quality_out_of_the_scale_is_refused(codec: str, crf: float) -> None:
    with pytest.raises(ConfigError, match=rf"encode\.crf={crf}"):
        EncodeSettings(codec=codec, crf=crf)


def test_no_threads_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"encode\.threads=0"):
        EncodeSettings(threads=0)


@every_codec
def test_every_codec_takes_the_common_presets(facts: CodecFacts) -> None:
    assert set(SPEEDS) <= set(facts.presets)


def test_every_setting_reaches_the_encoder(tmp_path: Path) -> None:
    path = write(tmp_path / "s.mkv", output_plan(), EncodeSettings(preset="slow", crf=31, threads=3))
    said = path.read_bytes()  # x264 writes its settings into the stream
    for setting in (
        b"crf=31.0",
        b"threads=3 ",
        b"sliced_threads=0",
        b"subme=8",
        b"open_gop=0",
        b"keyint=250",
    ):
        assert setting in said


def test_x265_closes_its_groups_of_pictures(tmp_path: Path) -> None:
    said = write(
        tmp_path / "s.mkv", output_plan(), EncodeSettings(codec="hevc", preset="ultrafast")
    ).read_bytes()
    assert b"no-open-gop" in said
    assert b"frame-threads=4" in said


@every_codec
def test_a_segment_holds_its_frames_by_number(facts: CodecFacts, tmp_path: Path) -> None:
    plan = output_plan(pix_fmt=PIX_FMT.get(facts.name, "yuv420p"))
    with av.open(str(write(tmp_path / "s.mkv", plan, settings_of(facts)))) as segment:
        packets = [packet for packet in segment.demux(video=0) if packet.size]
    assert packets[0].is_keyframe
    assert packets[0].pts == 0
    assert sorted(packet.pts for packet in packets) == list(range(NUM_FRAMES))


@pytest.mark.parametrize("name", ["X86_V4", "AVX512_SKX", "AVX512F"])
def test_x264_is_kept_from_avx_512_where_there_is_any(name: str) -> None:
    found = frozenset({"X86_V3", "AVX2", name})
    assert instruction_options(resolve_codec("h264"), found) == {"x264-params": "asm=AVX2"}


def test_instructions_are_named_to_no_other_cpu_or_codec() -> None:
    older = frozenset({"X86_V3", "AVX2", "NEON"})
    assert instruction_options(resolve_codec("h264"), older) == {}
    newest = frozenset({"X86_V4"})
    assert not any(instruction_options(facts, newest) for facts in CODECS if facts.name != "h264")


def test_avx_512_is_found_where_linux_reports_it() -> None:
    cpu = Path("/proc/cpuinfo")
    if not cpu.exists():
        pytest.skip("needs Linux")
    reported = " avx512vl" in cpu.read_text(encoding="utf-8")
    assert bool(instruction_options(resolve_codec("h264"), cpu_features())) == reported


@every_codec
def test_the_same_frames_make_the_same_bytes(facts: CodecFacts, tmp_path: Path) -> None:
    plan = output_plan(pix_fmt=PIX_FMT.get(facts.name, "yuv420p"))
    first, second = (write(tmp_path / name, plan, settings_of(facts)) for name in ("1.mkv", "2.mkv"))
    assert first.read_bytes() == second.read_bytes()


@every_codec
def test_encoders_print_nothing(facts: CodecFacts, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "s.mkv", output_plan(pix_fmt=PIX_FMT.get(facts.name, "yuv420p")), settings_of(facts))
    assert capfd.readouterr() == ("", "")


@every_codec
def test_colour_is_stated(facts: CodecFacts, tmp_path: Path) -> None:
    colour = Colour(matrix=9, primaries=9, transfer=16, full_range=facts.has_range)
    plan = output_plan(pix_fmt=PIX_FMT.get(facts.name, "yuv420p"), colour=colour)
    with av.open(str(write(tmp_path / "s.mkv", plan, settings_of(facts)))) as segment:
        picture = next(segment.decode(video=0))
    assert (picture.colorspace, picture.color_primaries, picture.color_trc) == (9, 9, 16)
    assert picture.color_range == (2 if facts.has_range else 1)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_chroma_siting_is_stated(codec: str, tmp_path: Path) -> None:
    plan = output_plan(colour=Colour(matrix=1, primaries=1, transfer=1, full_range=False, chroma_location=3))
    path = write(tmp_path / "s.mkv", plan, EncodeSettings(codec=codec, preset="ultrafast"))
    command = [corpus.ffmpeg(), "-i", path, "-c", "copy", "-bsf:v", "trace_headers", "-f", "null", "-"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    # H.264 and H.265 count from left, 0; top left is 2.
    assert re.search(r"chroma_sample_loc_type_top_field +011 = 2", said)


def test_the_shape_of_pixels_is_stated(tmp_path: Path) -> None:
    plan = output_plan(sample_aspect_ratio=Fraction(64, 45))
    with av.open(str(write(tmp_path / "s.mkv", plan, EncodeSettings(preset="ultrafast")))) as segment:
        assert segment.streams.video[0].sample_aspect_ratio == Fraction(64, 45)


@pytest.mark.parametrize(
    ("pix_fmt", "width", "height"),
    [
        ("yuv420p", 64, 48),
        ("yuv420p", 33, 17),
        ("yuv422p10le", 64, 48),
        ("gray", 20, 20),
        ("yuv444p16le", 16, 16),
    ],
)
def test_ffv1_keeps_every_sample(pix_fmt: str, width: int, height: int, tmp_path: Path) -> None:
    plan = output_plan(pix_fmt=pix_fmt, width=width, height=height)
    path = write(tmp_path / "s.mkv", plan, EncodeSettings(codec="ffv1"))
    with av.open(str(path)) as segment:
        decoded = list(segment.decode(video=0))
    for picture, frame in zip(decoded, frames(plan), strict=True):
        for plane, samples in zip(picture.planes, frame.planes, strict=True):
            rows = np.frombuffer(plane, dtype=samples.dtype).reshape(plane.height, -1)[:, : plane.width]
            np.testing.assert_array_equal(rows, samples)


def test_rgb_becomes_yuv_with_the_matrix_of_the_tag(tmp_path: Path) -> None:
    # 200, 50, 30 in BT.709, limited range, is 85, 104, 195; a BT.601 conversion gives 96, 97, 195.
    plan = output_plan(pix_fmt="yuv444p")
    red, green, blue = (np.full((64, 64), value, dtype=np.uint8) for value in (200, 50, 30))
    colour = Colour(matrix=0, full_range=True)
    made = Frame(
        planes=(green, blue, red), pix_fmt="gbrp", width=64, height=64, colour=colour,
        index=0, pts=0, time_base=Fraction(1, 25),
    )  # fmt: skip
    path = write(tmp_path / "s.mkv", plan, EncodeSettings(codec="ffv1"), [made])
    with av.open(str(path)) as segment:
        picture = next(segment.decode(video=0))
    values = [int(np.frombuffer(plane, dtype=np.uint8)[0]) for plane in picture.planes]
    assert np.abs(np.subtract(values, (85, 104, 195))).max() <= 1


def test_ffv1_keeps_rgb(tmp_path: Path) -> None:
    plan = output_plan(pix_fmt="bgr0", colour=Colour(matrix=0, full_range=True))
    content = frames(plan, pix_fmt="gbrp", count=2)
    with av.open(str(write(tmp_path / "s.mkv", plan, EncodeSettings(codec="ffv1"), content))) as segment:
        first = next(segment.decode(video=0)).to_ndarray(format="gbrp")
    np.testing.assert_array_equal(first, np.stack([content[0].planes[2], *content[0].planes[:2]], axis=-1))


def test_a_segment_appears_when_it_is_whole(tmp_path: Path) -> None:
    plan = output_plan()
    writer = SegmentWriter(tmp_path / "s.mkv", settings=EncodeSettings(preset="ultrafast"), output=plan)
    for frame in frames(plan):
        writer.write(frame)
        assert not (tmp_path / "s.mkv").exists()
    writer.close()
    assert [path.name for path in tmp_path.iterdir()] == ["s.mkv"]


@pytest.mark.parametrize("num_written", [0, 1, NUM_FRAMES])
def test_an_aborted_segment_leaves_nothing(num_written: int, tmp_path: Path) -> None:
    plan = output_plan()
    writer = SegmentWriter(tmp_path / "s.mkv", settings=EncodeSettings(preset="ultrafast"), output=plan)
    for frame in frames(plan, count=num_written):
        writer.write(frame)
    writer.abort()
    writer.abort()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_to_be_full(tmp_path: Path) -> None:
    (tmp_path / "s.mkv.part").symlink_to("/dev/full")
    plan = output_plan(width=256, height=256)
    writer = SegmentWriter(tmp_path / "s.mkv", settings=EncodeSettings(codec="ffv1"), output=plan)

    def write_all() -> None:
        for frame in frames(plan):
            writer.write(frame)
        writer.close()

    with pytest.raises(DiskFullError, match=r"s\.mkv: the disk is full"):
        write_all()
    writer.abort()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    plan = output_plan()
    writer = SegmentWriter(tmp_path / "no" / "s.mkv", settings=EncodeSettings(codec="ffv1"), output=plan)
    with pytest.raises(UnwritableError, match=r"no/s\.mkv: cannot be written"):
        writer.write(frames(plan, count=1)[0])
    writer.abort()


def test_a_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "s.mkv", settings=EncodeSettings(), output=output_plan(width=66))
    with pytest.raises(ValueError, match="frame 0 is 64x64, the plan has 66x64"):
        writer.write(frames(output_plan(), count=1)[0])
    writer.abort()


def test_a_name_may_look_like_anything(tmp_path: Path) -> None:
    plan = output_plan()
    content = frames(plan, count=2)
    settings = EncodeSettings(preset="ultrafast")
    for name in ("with:colon %d 'quoted' é.mkv", "-dash.mkv", "bad\udcff.mkv"):
        assert write(tmp_path / name, plan, settings, content).stat().st_size
