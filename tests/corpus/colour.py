"""Inputs of all sample formats and colours."""

from tests.corpus.commands import PICTURE, encoded
from tests.corpus.facts import MILLISECOND, RATE, CorpusClass, Outcome, grid

ONE_SECOND = grid(RATE)
HDR10 = (
    "log-level=0:hdr10=1:repeat-headers=1:master-display="
    "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400"
)


def _tagged(matrix: str, range_name: str) -> str:
    """Make a picture whose samples really have the matrix and range of its tags."""
    convert = f"scale=out_color_matrix={matrix}:out_range={range_name}"
    tags = f"setparams=colorspace={matrix}:color_primaries={matrix}:color_trc={matrix}:range={range_name}"
    return f"-f lavfi -i {PICTURE}:d=1 -vf {convert},{tags} {{x264}} {{out}}"


def _wide_gamut(transfer: str, encoder: str) -> str:
    """Make a picture of 10 bits with BT.2020's colours."""
    tags = f"setparams=colorspace=bt2020nc:color_primaries=bt2020:color_trc={transfer}:range=tv"
    convert = "scale=out_color_matrix=bt2020nc,format=yuv420p10le"
    return f"-f lavfi -i {PICTURE}:d=1 -vf {convert},{tags} {encoder} {{out}}"


def _x265(settings: str) -> str:
    return f"-c:v libx265 -preset ultrafast -tag:v hvc1 -x265-params {settings}"


COLOUR: dict[str, CorpusClass] = {
    "yuv444": CorpusClass(
        suffix=".mp4", commands=(encoded("yuv444p"),), times=ONE_SECOND, pix_fmt="yuv444p", tracks=()
    ),
    "yuv422": CorpusClass(
        suffix=".mp4", commands=(encoded("yuv422p"),), times=ONE_SECOND, pix_fmt="yuv422p", tracks=()
    ),
    "depth_10_420": CorpusClass(
        suffix=".mp4",
        commands=(encoded("yuv420p10le"),),
        times=ONE_SECOND,
        pix_fmt="yuv420p10le",
        bit_depth=10,
        tracks=(),
    ),
    "depth_10_422": CorpusClass(
        suffix=".mp4",
        commands=(encoded("yuv422p10le"),),
        times=ONE_SECOND,
        pix_fmt="yuv422p10le",
        bit_depth=10,
        tracks=(),
    ),
    "depth_12_420": CorpusClass(
        suffix=".mp4",
        commands=(encoded("yuv420p12le", _x265("log-level=0").removeprefix("-c:v ")),),
        times=ONE_SECOND,
        codec="hevc",
        pix_fmt="yuv420p12le",
        bit_depth=12,
        tracks=(),
        outcome=Outcome(says=("encoded with hevc: h264 does not hold yuv420p12le",)),
    ),
    "full_range": CorpusClass(
        suffix=".mp4",
        commands=(_tagged("bt709", "pc"),),
        times=ONE_SECOND,
        matrix=1,
        full_range=True,
        tracks=(),
    ),
    "bt601": CorpusClass(
        suffix=".mp4",
        commands=(_tagged("smpte170m", "tv"),),
        times=ONE_SECOND,
        matrix=6,
        full_range=False,
        tracks=(),
    ),
    "bt709": CorpusClass(
        suffix=".mp4",
        commands=(_tagged("bt709", "tv"),),
        times=ONE_SECOND,
        matrix=1,
        full_range=False,
        tracks=(),
    ),
    "bt470bg": CorpusClass(
        suffix=".mp4",
        commands=(_tagged("bt470bg", "tv"),),
        times=ONE_SECOND,
        matrix=5,
        primaries=5,
        transfer=5,
        full_range=False,
        tracks=(),
    ),
    "bt2020": CorpusClass(
        suffix=".mp4",
        commands=(_wide_gamut("bt2020-10", "-c:v libx264 -preset ultrafast"),),
        times=ONE_SECOND,
        pix_fmt="yuv420p10le",
        bit_depth=10,
        matrix=9,
        primaries=9,
        transfer=14,
        full_range=False,
        tracks=(),
    ),
    "full_range_by_format": CorpusClass(
        # The old way to say it: a pixel format of its own.
        suffix=".mp4",
        commands=(encoded("yuvj420p"),),
        times=ONE_SECOND,
        full_range=True,
        tracks=(),
    ),
    "hdr10": CorpusClass(
        suffix=".mp4",
        commands=(_wide_gamut("smpte2084", _x265(HDR10)),),
        times=ONE_SECOND,
        codec="hevc",
        pix_fmt="yuv420p10le",
        bit_depth=10,
        matrix=9,
        primaries=9,
        transfer=16,
        full_range=False,
        tracks=(),
        outcome=Outcome(
            says=("encoded with hevc: HDR is looked for in it",),
            hdr=("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"),
        ),
    ),
    "hlg": CorpusClass(
        suffix=".mp4",
        commands=(_wide_gamut("arib-std-b67", _x265("log-level=0")),),
        times=ONE_SECOND,
        codec="hevc",
        pix_fmt="yuv420p10le",
        bit_depth=10,
        matrix=9,
        primaries=9,
        transfer=18,
        full_range=False,
        tracks=(),
        outcome=Outcome(says=("encoded with hevc: HDR is looked for in it",)),
    ),
    "gray": CorpusClass(
        suffix=".mkv",
        commands=(encoded("gray", "ffv1"),),
        times=ONE_SECOND,
        tick=MILLISECOND / 2,
        codec="ffv1",
        pix_fmt="gray",
        full_range=True,
        tracks=(),
    ),
    "gray_10": CorpusClass(
        suffix=".mkv",
        commands=(encoded("gray10le", "ffv1"),),
        times=ONE_SECOND,
        tick=MILLISECOND / 2,
        codec="ffv1",
        pix_fmt="gray10le",
        bit_depth=10,
        full_range=True,
        tracks=(),
    ),
    "rgb": CorpusClass(
        suffix=".mp4",
        commands=(encoded("bgr24", "libx264rgb -preset ultrafast"),),
        times=ONE_SECOND,
        pix_fmt="gbrp",
        matrix=0,
        full_range=True,
        tracks=(),
    ),
    "rgb_16": CorpusClass(
        suffix=".mkv",
        commands=(encoded("gbrp16le", "ffv1"),),
        times=ONE_SECOND,
        tick=MILLISECOND / 2,
        codec="ffv1",
        pix_fmt="gbrp16le",
        bit_depth=16,
        matrix=0,
        tracks=(),
        outcome=Outcome(says=("encoded with ffv1: h264 does not hold gbrp16le",)),
    ),
    "alpha_prores": CorpusClass(
        suffix=".mov",
        commands=(encoded("yuva444p10le", "prores_ks -profile:v 4444"),),
        times=ONE_SECOND,
        codec="prores",
        pix_fmt="yuva444p12le",
        bit_depth=12,
        tracks=(),
        outcome=Outcome(
            says=("encoded with prores: it keeps the transparency", "12 bits become 10"), has_alpha=True
        ),
    ),
    "alpha_vp9": CorpusClass(
        suffix=".webm",
        commands=(encoded("yuva420p", "libvpx-vp9 -cpu-used 8 -deadline realtime"),),
        is_plain=False,
        times=ONE_SECOND,
        tick=MILLISECOND / 2,
        codec="vp9",
        tracks=(),
        outcome=Outcome(says=("encoded with vp9: it keeps the transparency",), has_alpha=True),
    ),
}
"""What a sample means."""
