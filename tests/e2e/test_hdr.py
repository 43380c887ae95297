"""HDR10 and HLG keep all that they say, or become SDR where that is asked for."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import vidsr
from tests import corpus
from tests.overrides import QUICK
from vidsr.media.colour import from_rgb, to_rgb
from vidsr.media.filters import decide_filters
from vidsr.media.frames import from_av
from vidsr.media.hdr import hdr_differences
from vidsr.media.intermediate import _write
from vidsr.media.probe import probe
from vidsr.media.scan import ScanMeter
from vidsr.media.verify import verify
from vidsr.show import media_lines
from vidsr.types import Colour, ContentLight, Frame, HdrMetadata, MasteringDisplay, VideoInfo

PICTURE = "-f lavfi -i testsrc2=s=96x64:r=25 -frames:v 5"
DISPLAY = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
WANTED = HdrMetadata(
    mastering=MasteringDisplay(
        red=(Fraction(34, 50), Fraction(16, 50)),
        green=(Fraction(1325, 5000), Fraction(69, 100)),
        blue=(Fraction(15, 100), Fraction(6, 100)),
        white=(Fraction(15635, 50_000), Fraction(16450, 50_000)),
        min_luminance=Fraction(5, 1000),
        max_luminance=Fraction(1000),
    ),
    light=ContentLight(1000, 400),
)


def hdr(
    folder: Path, name: str = "small_hdr10.mp4", *, transfer: str = "smpte2084", metadata: bool = True
) -> Path:
    """Make a clip in BT.2020 of 10 bits."""
    path = folder / name
    parameters = "log-level=0"
    if metadata:
        parameters += f":hdr10=1:master-display={DISPLAY}:max-cll=1000,400"
    tags = f"setparams=colorspace=bt2020nc:color_primaries=bt2020:color_trc={transfer}:range=tv"
    encode = f"-vf scale=out_color_matrix=bt2020:out_range=tv,format=yuv420p10le,{tags} -c:v libx265"
    if not path.exists():
        corpus.run([*f"{PICTURE} {encode} -preset ultrafast -x265-params".split(), parameters, str(path)])
    return path


def mean_colour(path: Path) -> np.ndarray:
    """Return the mean of R', G' and B' of the first picture, by its own tags, 0..1."""
    info = probe(path)
    with av.open(str(path)) as file:
        picture = next(file.decode(video=0))
    frame = from_av(picture, index=0, pts=0, time_base=Fraction(1, 25), colour=info.video.colour)
    return to_rgb(frame).mean((1, 2)) / 65535


@pytest.mark.parametrize("restorer", ["bicubic", "xpsr-s"])
def test_hdr10_comes_out_as_hdr10(restorer, corpus_folder, tmp_path):
    source = hdr(corpus_folder)
    report = vidsr.enhance(source, tmp_path / "out.mp4", overrides=QUICK | {"restore.restorer": restorer})
    video = probe(report.output).video
    assert (video.codec, video.bit_depth) == ("hevc", 10)
    assert (video.colour.matrix, video.colour.primaries, video.colour.transfer) == (9, 9, 16)
    assert video.hdr == WANTED == probe(source).video.hdr
    assert any("encoded with hevc: HDR" in line for line in report.warnings)
    np.testing.assert_allclose(mean_colour(report.output), mean_colour(source), atol=0.01)
    assert verify(source, report.output).ok


def test_probe_says_it(corpus_folder):
    said = "\n".join(media_lines(probe(hdr(corpus_folder))))
    assert "HDR: mastered on 0.005 to 1000 cd/m2, content up to 1000 cd/m2, frames to 400 on average" in said


def test_hlg_comes_out_as_hlg(corpus_folder, tmp_path):
    source = hdr(corpus_folder, "small_hlg.mp4", transfer="arib-std-b67", metadata=False)
    report = vidsr.enhance(source, tmp_path / "out.mkv", overrides=QUICK)
    video = probe(report.output).video
    assert (video.codec, video.bit_depth, video.colour.transfer, video.hdr) == ("hevc", 10, 18, None)
    assert verify(source, report.output).ok


@pytest.mark.parametrize("codec", ["h264", "av1"])
def test_other_codecs_keep_the_metadata_too(codec, corpus_folder, tmp_path):
    source = hdr(corpus_folder)
    report = vidsr.enhance(source, tmp_path / "out.mkv", overrides=QUICK | {"encode.codec": codec})
    assert hdr_differences(probe(report.output).video.hdr, WANTED) == []
    assert verify(source, report.output).ok


def test_a_codec_without_a_place_for_them_says_so_before_any_work(corpus_folder, tmp_path):
    overrides = QUICK | {"encode.codec": "ffv1"}
    plan = vidsr.plan(hdr(corpus_folder), tmp_path / "out.mkv", overrides=overrides)
    assert any("given up: ffv1 has no place for them" in line for line in plan.warnings)
    assert plan.output.hdr is None


def test_verify_notices_metadata_that_are_missing_or_others(corpus_folder, tmp_path):
    source = hdr(corpus_folder)
    # The ffmpeg program would hand them on by itself.
    forget = "sidedata=delete:MASTERING_DISPLAY_METADATA,sidedata=delete:CONTENT_LIGHT_LEVEL"
    for name, parameters in {
        "without": "log-level=0",
        "other": f"log-level=0:master-display={DISPLAY}:max-cll=1000,401",
        "dimmer": f"log-level=0:master-display={DISPLAY.replace('10000000', '6000000')}:max-cll=1000,400",
    }.items():
        output = tmp_path / f"{name}.mp4"
        encode = f"-vf {forget} -c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -x265-params"
        corpus.run(["-i", str(source), *encode.split(), parameters, str(output)])
        messages = [difference.message for difference in verify(source, output).differences]
        assert any("content light level" in line or "mastering display" in line for line in messages), name


def test_tone_mapping_gives_sdr_that_says_so(corpus_folder, tmp_path):
    source = hdr(corpus_folder)
    report = vidsr.enhance(source, tmp_path / "out.mp4", overrides=QUICK | {"encode.hdr": "tonemap"})
    video = probe(report.output).video
    assert (video.codec, video.bit_depth, video.hdr) == ("h264", 10, None)
    assert (video.colour.matrix, video.colour.primaries, video.colour.transfer) == (1, 1, 1)
    assert any("tone-mapped to BT.709 SDR: up to 1000 cd/m2" in line for line in report.warnings)
    assert verify(source, report.output).ok
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_sdr_is_not_tone_mapped(corpus_folder, tmp_path):
    plan = vidsr.plan(corpus.make("bt709", corpus_folder), overrides=QUICK | {"encode.hdr": "tonemap"})
    assert plan.filtered is None


@pytest.mark.parametrize(
    ("transfer", "signals"), [(16, (0.0, 0.38, 0.58, 0.752)), (18, (0.0, 0.38, 0.75, 1.0))]
)
def test_black_grey_and_white_lie_where_sdr_has_them(transfer, signals, tmp_path):
    """PQ and HLG say the same four lights differently: 0, 26, 203 and 1000 cd/m2 (BT.2408)."""
    colour = Colour(matrix=9, primaries=9, transfer=transfer, full_range=False)
    video = VideoInfo(
        stream_index=0,
        codec="hevc",
        width=64,
        height=16,
        pix_fmt="yuv444p10le",
        bit_depth=10,
        colour=colour,
        sample_aspect_ratio=Fraction(1),
        display_matrix=None,
        time_base=Fraction(1, 25),
        average_rate_from_header=None,
    )
    rows = np.rint(np.array(signals).repeat(16) * 65535).astype(np.uint16)
    like = Frame(
        planes=(),
        pix_fmt="yuv444p10le",
        width=64,
        height=16,
        colour=colour,
        index=0,
        pts=0,
        time_base=Fraction(1, 25),
    )
    frame = from_rgb(np.broadcast_to(rows, (3, 16, 64)), pix_fmt="yuv444p10le", colour=colour, like=like)
    filters = decide_filters(ScanMeter().scan(), video, deinterlace="off", hdr="tonemap")
    _write(iter([frame]), video, filters, output=tmp_path / "sdr.mkv")
    with av.open(str(tmp_path / "sdr.mkv")) as file:
        picture = next(file.decode(video=0))
    planes = from_av(picture, index=0, pts=0, time_base=like.time_base, colour=colour).planes
    black, grey, paper, peak = (planes[0][8, 8::16].astype(float) - 64) / 876
    assert black == 0
    # 26 of 203 cd/m2, through a display's gamma of 2.4.
    assert abs(grey - (26 / 203) ** (1 / 2.4)) < 0.01
    assert 0.8 < paper < 0.9
    assert abs(peak - 1) < 0.01
    assert (np.abs(planes[1].astype(int) - 512) <= 1).all()
