"""Small videos of every scan type, made by the ffmpeg program, and the film that some were made from."""

from functools import cache
from pathlib import Path

from tests import corpus

FIELDS = "-f lavfi -i testsrc2=s=192x144:r=50:d=1"
FILM = "-f lavfi -i testsrc2=s=192x144:r=24000/1001:d=2"
# Detail without the regularity of a test pattern, moved evenly.
PAN = (
    "-f lavfi -i mandelbrot=s=960x720:r=24000/1001:start_scale=1 -frames:v 60 "
    "-vf loop=-1:1,crop=192:144:150+4*n:150+n,setfield=tff"
)
INTERLACED_X264 = "-c:v libx264 -preset ultrafast -flags +ilme+ildct -pix_fmt yuv420p -crf 12"
INTERLACED_MPEG2 = "-c:v mpeg2video -flags +ilme+ildct -q:v 2"

SCANS = {
    "upper.mp4": f"{FIELDS} -vf tinterlace=interleave_top,fieldorder=tff {INTERLACED_X264} "
    "-x264-params tff=1",
    "long.mp4": "-f lavfi -i testsrc2=s=192x144:r=50:d=40 -vf tinterlace=interleave_top,fieldorder=tff "
    f"{INTERLACED_X264} -x264-params tff=1",
    "lower.mpg": f"{FIELDS} -vf tinterlace=interleave_bottom,setfield=bff {INTERLACED_MPEG2}",
    "noisy.mp4": f"{FIELDS} -vf noise=alls=25:allf=t+u,tinterlace=interleave_top,fieldorder=tff "
    f"{INTERLACED_X264} -x264-params tff=1",
    "telecine.mpg": f"{FILM} -vf telecine {INTERLACED_MPEG2}",
    "ten_bits.mkv": f"{FIELDS} -vf tinterlace=interleave_top,format=yuv420p10le,setfield=tff -c:v ffv1",
    "unflagged.mp4": "-f lavfi -i testsrc2=s=192x144:r=50:d=2 -vf tinterlace=interleave_top,setfield=prog "
    "-c:v libx264 -preset ultrafast -pix_fmt yuv420p",
    "only_flagged.mpg": "-f lavfi -i testsrc2=s=192x144:r=25:d=1 -vf setfield=tff " + INTERLACED_MPEG2,
    "progressive.mp4": "-f lavfi -i testsrc2=s=192x144:r=25:d=1 -c:v libx264 -preset ultrafast "
    "-pix_fmt yuv420p",
    "still.mpg": "-f lavfi -i color=gray:s=192x144:r=25:d=1 -vf setfield=tff " + INTERLACED_MPEG2,
    "pan.mp4": f"{PAN} {INTERLACED_X264} -x264-params tff=1",
    "pan_telecine.mpg": f"{PAN},telecine {INTERLACED_MPEG2}",
    "pan_interlaced.mpg": f"{PAN},tinterlace=interleave_bottom,setfield=bff {INTERLACED_MPEG2}",
    "telecine_58.mpg": f"{FILM} -vf telecine -frames:v 58 {INTERLACED_MPEG2}",
    "fields.mkv": f"{FIELDS} -c:v ffv1 -pix_fmt yuv420p",
    "film.mkv": f"{FILM} -c:v ffv1 -pix_fmt yuv420p",
}
"""Arguments of ffmpeg for each file."""


@cache
def make(name: str, folder: Path) -> Path:
    """Make a file of `SCANS` in `folder`, once."""
    path = folder / f"scan_{name}"
    corpus.run([*SCANS[name].split(), str(path)])
    return path
