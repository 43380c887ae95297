"""Inputs with all kinds of streams beside the picture."""

from tests.corpus.facts import MILLISECOND, SOUND, CorpusClass, Track

_SUBTITLES = "1\n00:00:00,200 --> 00:00:00,900\nHello\n\n2\n00:00:01,000 --> 00:00:01,500\n<i>World</i>\n"
_CHAPTERS = (
    ";FFMETADATA1\ntitle=Tricky\n"
    "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=One\n"
    "[CHAPTER]\nTIMEBASE=1/1000\nSTART=1000\nEND=2000\ntitle=Two\n"
)
_FONT = bytes(range(256)) * 4
_EXTRA_FILES = (("subtitles.srt", _SUBTITLES), ("chapters.txt", _CHAPTERS), ("font.ttf", _FONT))
_COVER = "-f lavfi -i color=red:s=64x64 -frames:v 1 {folder}/cover.png"


STREAMS: dict[str, CorpusClass] = {
    "no_audio": CorpusClass(suffix=".mp4", commands=("{picture} {x264} {out}",), tracks=()),
    "sound_longer": CorpusClass(
        suffix=".mp4", commands=("{picture} -f lavfi -i sine=d=4 {x264} {aac} {out}",)
    ),
    "sound_shorter": CorpusClass(
        suffix=".mp4", commands=("{picture} -f lavfi -i sine=d=1 {x264} {aac} {out}",)
    ),
    "sound_of_six_channels": CorpusClass(
        suffix=".mkv",
        commands=("{picture} -f lavfi -i sine=d=2,aformat=channel_layouts=5.1 {x264} -c:a ac3 {out}",),
        tick=MILLISECOND / 2,
        tracks=(Track(kind="audio", codec="ac3"),),
    ),
    "sound_as_samples": CorpusClass(
        suffix=".mov",
        commands=("{picture} {sound} {x264} -c:a pcm_s24le {out}",),
        tracks=(Track(kind="audio", codec="pcm_s24le", dispositions=("default",)),),
    ),
    "tracks_mkv": CorpusClass(
        suffix=".mkv",
        files=_EXTRA_FILES,
        commands=(
            (
                "{all_tracks} -c:a:1 libopus -c:s:0 srt -c:s:1 ass "
                "-attach {folder}/font.ttf -metadata:s:t mimetype=font/ttf "
                "-metadata:s:t filename=font.ttf {out}"
            ),
        ),
        needs=("cfr",),
        tick=MILLISECOND / 2,
        tracks=(
            Track(kind="audio", codec="aac", language="eng", dispositions=("default",)),
            Track(kind="audio", codec="opus", language="fra", title="Commentary", dispositions=("comment",)),
            Track(kind="subtitle", codec="subrip", language="eng"),
            Track(kind="subtitle", codec="ass", language="deu", title="Schilder", dispositions=("forced",)),
            Track(kind="attachment", codec="unknown"),
        ),
        num_chapters=2,
    ),
    "tracks_mp4": CorpusClass(
        suffix=".mp4",
        files=_EXTRA_FILES,
        commands=("{all_tracks} -c:a:1 aac -c:s mov_text {out}",),
        needs=("cfr",),
        tracks=(
            Track(kind="audio", codec="aac", language="eng", dispositions=("default",)),
            Track(kind="audio", codec="aac", language="fra", title="Commentary", dispositions=("comment",)),
            # The muxer makes the first of each kind the default.
            Track(kind="subtitle", codec="mov_text", language="eng", dispositions=("default",)),
            Track(
                kind="subtitle", codec="mov_text", language="deu", title="Schilder", dispositions=("forced",)
            ),
            # The titles of the chapters.
            Track(kind="data", codec="bin_data", language="eng"),
        ),
        num_chapters=2,
    ),
    "tracks_mov": CorpusClass(
        suffix=".mov",
        files=_EXTRA_FILES,
        commands=(
            (
                "-i {cfr} -i {folder}/subtitles.srt -i {folder}/chapters.txt -map 0 -map 1 -map_metadata 2 "
                "-map_chapters 2 -c copy -c:s mov_text -timecode 01:00:00:00 {out}"
            ),
        ),
        needs=("cfr",),
        tracks=(
            *SOUND,
            Track(kind="subtitle", codec="mov_text", dispositions=("default",)),
            # The titles of the chapters, and the timecode.
            Track(kind="data", codec="bin_data", language="eng"),
            Track(kind="data", codec="unknown", language="eng"),
        ),
        num_chapters=2,
    ),
    "cover_mp4": CorpusClass(
        suffix=".mp4",
        commands=(
            _COVER,
            "-i {cfr} -i {folder}/cover.png -map 0 -map 1 -c copy -disposition:v:1 attached_pic {out}",
        ),
        needs=("cfr",),
        tracks=(*SOUND, Track(kind="video", codec="png", dispositions=("attached_pic",))),
    ),
    "cover_mkv": CorpusClass(
        suffix=".mkv",
        commands=(
            _COVER,
            (
                "-i {cfr} -attach {folder}/cover.png "
                "-metadata:s:t mimetype=image/png -metadata:s:t filename=cover.png -c copy {out}"
            ),
        ),
        needs=("cfr",),
        tick=MILLISECOND / 2,
        tracks=(*SOUND, Track(kind="video", codec="png", dispositions=("attached_pic",))),
    ),
    "two_pictures": CorpusClass(
        # The smaller one is the default.
        suffix=".mkv",
        commands=(
            (
                "-f lavfi -i testsrc=s=320x240:r=25:d=2 {picture} -map 0 -map 1 {x264} "
                "-disposition:v:0 0 -disposition:v:1 default {out}"
            ),
        ),
        video_index=1,
        tick=MILLISECOND / 2,
        tracks=(Track(kind="video", codec="h264"),),
        is_plain=False,
    ),
    "two_equal_pictures": CorpusClass(
        # Neither is the default.
        suffix=".mkv",
        commands=(
            (
                "{picture} -f lavfi -i testsrc=s=320x240:r=25:d=2 -map 0 -map 1 {x264} "
                "-disposition:v:0 0 -disposition:v:1 0 {out}"
            ),
        ),
        width=320,
        height=240,
        video_index=1,
        tick=MILLISECOND / 2,
        tracks=(Track(kind="video", codec="h264"),),
        is_plain=False,
    ),
}
"""What is beside the picture."""
