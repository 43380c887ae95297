"""Pieces that the commands of several inputs share."""

from tests.corpus.facts import HEIGHT, RATE, WIDTH

PICTURE = f"testsrc2=s={WIDTH}x{HEIGHT}:r={RATE}"
# testsrc2 makes even sizes only.
ODD_PICTURE = f"testsrc=s=161x121:r={RATE}"

ABBREVIATIONS = {
    "picture": f"-f lavfi -i {PICTURE}:d=2",
    "sound": "-f lavfi -i sine=f=440:r=48000:d=2",
    "x264": "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25",
    # Without the macroblock tree, whose result is not the same on every CPU (vidsr/media/encode.py).
    "reordered": "-c:v libx264 -preset veryfast -x264-params mbtree=0 -bf 3 -pix_fmt yuv420p -g 25",
    "aac": "-c:a aac",
    "vfr_source": f"-f lavfi -i testsrc2=s={WIDTH}x{HEIGHT}:r=60:d=2",
    "vfr_filter": r"-vf 'select=not(mod(n\,2))+lt(mod(n\,7)\,2)' -fps_mode vfr",
    "all_tracks": (
        "-i {cfr} -f lavfi -i sine=f=880:r=48000:d=2 -i {folder}/subtitles.srt -i {folder}/subtitles.srt "
        "-i {folder}/chapters.txt -map 0:v -map 0:a -map 1:a -map 2 -map 3 -map_metadata 4 -map_chapters 4 "
        "-c:v copy -c:a:0 copy -metadata:s:a:0 language=eng "
        "-metadata:s:a:1 language=fra -metadata:s:a:1 title=Commentary "
        "-metadata:s:s:0 language=eng -metadata:s:s:1 language=deu -metadata:s:s:1 title=Schilder "
        "-disposition:a:0 default -disposition:a:1 comment -disposition:s:0 0 -disposition:s:1 forced"
    ),
}
"""What {picture} and the like stand for in a command."""


def encoded(pix_fmt: str, encoder: str = "libx264 -preset ultrafast", *, source: str = PICTURE) -> str:
    """Encode a second of a picture in a pixel format."""
    return f"-f lavfi -i {source}:d=1,format={pix_fmt} -c:v {encoder} {{out}}"
