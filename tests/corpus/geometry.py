"""Inputs of all shapes, turned, interlaced, and of more than one size."""

from fractions import Fraction

from tests.corpus.commands import ODD_PICTURE, encoded
from tests.corpus.facts import MILLISECOND, RATE, TURNED_AND_FLIPPED, TURNED_BY_90, CorpusClass, Outcome, grid
from tests.corpus.timing import MUXING_DELAY

ONE_SECOND = grid(RATE)
FILM = Fraction(24_000, 1001)


GEOMETRY: dict[str, CorpusClass] = {
    "turned_90": CorpusClass(
        suffix=".mp4",
        commands=("-display_rotation 90 -i {cfr} -map 0 -c copy {out}",),
        needs=("cfr",),
        display_matrix=TURNED_BY_90,
    ),
    "turned_180_flipped": CorpusClass(
        suffix=".mp4",
        commands=("-display_rotation 180 -display_hflip -i {cfr} -map 0 -c copy {out}",),
        needs=("cfr",),
        display_matrix=TURNED_AND_FLIPPED,
    ),
    "sar": CorpusClass(
        suffix=".mp4",
        commands=("{picture} {sound} -vf setsar=64/45 {x264} {aac} {out}",),
        sample_aspect_ratio=Fraction(64, 45),
    ),
    "odd_444": CorpusClass(
        suffix=".mp4",
        commands=(encoded("yuv444p", source=ODD_PICTURE),),
        times=ONE_SECOND,
        width=161,
        height=121,
        pix_fmt="yuv444p",
        tracks=(),
    ),
    "odd_420": CorpusClass(
        suffix=".mkv",
        commands=(encoded("yuv420p", "ffv1", source=ODD_PICTURE),),
        times=ONE_SECOND,
        tick=MILLISECOND / 2,
        codec="ffv1",
        width=161,
        height=121,
        tracks=(),
    ),
    "tiny": CorpusClass(
        suffix=".mp4",
        commands=("-f lavfi -i testsrc2=s=16x16:r=25:d=1 {x264} {out}",),
        times=ONE_SECOND,
        width=16,
        height=16,
        tracks=(),
    ),
    "wide": CorpusClass(
        suffix=".mp4",
        commands=("-f lavfi -i testsrc2=s=1024x32:r=25:d=0.4 {x264} {out}",),
        times=grid(10),
        width=1024,
        height=32,
        tracks=(),
    ),
    "size_change": CorpusClass(
        suffix=".ts",
        commands=(
            "{picture} {x264} -frames:v 10 -f mpegts {folder}/size_a.ts",
            (
                "-f lavfi -i testsrc2=s=320x240:r=25:d=1 {x264} -frames:v 10 "
                "-f mpegts -output_ts_offset 0.4 {folder}/size_b.ts"
            ),
            "-i 'concat:{folder}/size_a.ts|{folder}/size_b.ts' -c copy {out}",
        ),
        tracks=(),
        is_plain=False,
        times=grid(20, start=MUXING_DELAY),
        tick=Fraction(1, 90_000),
        outcome=Outcome(says=("frames 10 to 19",)),
    ),
    "interlaced_top": CorpusClass(
        suffix=".mp4",
        commands=(
            (
                "-f lavfi -i testsrc2=s=320x240:r=50:d=1 -vf tinterlace=interleave_top,fieldorder=tff "
                "-c:v libx264 -preset ultrafast -flags +ilme+ildct -x264-params tff=1 -pix_fmt yuv420p {out}"
            ),
        ),
        is_plain=False,
        times=ONE_SECOND,
        width=320,
        height=240,
        tracks=(),
        outcome=Outcome(says=("interlaced",)),
    ),
    "interlaced_bottom": CorpusClass(
        suffix=".mpg",
        commands=(
            (
                "-f lavfi -i testsrc2=s=320x240:r=50:d=1 -vf tinterlace=interleave_bottom,setfield=bff "
                "-c:v mpeg2video -flags +ilme+ildct -q:v 3 {out}"
            ),
        ),
        is_plain=False,
        times=grid(25, start=Fraction(1, 2) + Fraction(1, 25)),
        codec="mpeg2video",
        width=320,
        height=240,
        tracks=(),
        outcome=Outcome(says=("interlaced",)),
    ),
    "telecined": CorpusClass(
        # 24 pictures of film, shown as 30 of video.
        suffix=".mpg",
        commands=(
            (
                "-f lavfi -i testsrc2=s=320x240:r=24000/1001:d=1 -vf telecine "
                "-c:v mpeg2video -flags +ilme+ildct -q:v 3 {out}"
            ),
        ),
        is_plain=False,
        times=grid(30, rate=FILM * 5 / 4, start=Fraction(1, 2) + 4 / (5 * FILM)),
        tick=Fraction(1, 90_000),
        codec="mpeg2video",
        width=320,
        height=240,
        tracks=(),
        outcome=Outcome(
            says=("telecine",), times=grid(24, rate=FILM, start=Fraction(1, 2)), tick=Fraction(1, 24)
        ),
    ),
}
"""The shape of the picture."""
