"""The pictures after filtering: a lossless file that takes the input's place as the source of the picture.

The frames are decoded here, as the index saw them, and piped into the ffmpeg program, so that no other
demuxer or decoder has a say in how many there are. What comes back is looked up by its number: a frame's time
is its source frame's, and after telecine lies between those of two, as the filter spaces them.
"""

import contextlib
import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg
import imageio_ffmpeg
import numpy as np

from vidsr.errors import DamagedInputError, MachineError
from vidsr.files import move_durably, write_error
from vidsr.media.colour import BT709, RGB_MATRIX, resolved_colour
from vidsr.media.decode import PyAVSource, open_source
from vidsr.media.filters import DIFFUSE_WHITE, Filters
from vidsr.media.frames import format_facts
from vidsr.media.index import IndexResult, Thumbnail, build_index
from vidsr.media.probe import probe
from vidsr.types import UNSPECIFIED, Frame, FrameTable, MediaInfo, Plan, VideoInfo

CYCLE = 5
"""Frames of which decimate drops one."""
QUARTER = 4
"""A film frame lasts 5/4 of a video frame: its times are counted in quarters of the source's ticks."""
BT2020 = 9
PROGRESS_FRAMES = 64
"""Frames between two calls of who wants to know how far it is."""
RATE = 1000
"""Frames a second of the intermediate file: frame n is at tick n of Matroska."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Filtered:
    """What the filters made of the pictures."""

    video: VideoInfo
    """Of the input, with what the filters changed."""
    frames: FrameTable
    """Of the file, at the times of the input."""
    file: MediaInfo
    """Of the file, as its decoder needs it."""
    ffmpeg_version: str


def make_intermediate(
    source: Path,
    index: IndexResult,
    filters: Filters,
    *,
    output: Path,
    on_frame: Callable[[int, Thumbnail], None],
    on_progress: Callable[[int], None],
) -> Filtered:
    """Filter the pictures of `source` into `output`, and index that.

    Args:
        source: the input.
        index: of it.
        filters: at least one.
        output: where the file goes; it appears whole, and its folder is made.
        on_frame: called with each filtered frame's index and thumbnail, in order.
        on_progress: called with the number of frames that went into the filters, now and then.

    Raises:
        MachineError: the ffmpeg program fails.
        UnwritableError, DiskFullError: naming `output`.
    """
    with open_source(source, index.info, index.frames, linear=True) as pictures:
        counted = _counted(pictures.frames(0, len(index.frames)), on_progress)
        _write(counted, index.info.video, filters, output=output)
    made = build_index(output, probe(output), on_frame=on_frame)
    shown = film_frames(index.frames) if filters.fields == "film" else index.frames
    video, frames = index.info.video, _table(shown, made.frames, where=output)
    if filters.fields == "film":
        video = film_video(video)
    if filters.tone_peak is not None:
        video = tone_mapped_video(video)
    file = replace(made.info, video=replace(made.info.video, colour=video.colour))
    return Filtered(video=video, frames=frames, file=file, ffmpeg_version=imageio_ffmpeg.get_ffmpeg_version())


def picture_file(plan: Plan, source: Path, *, filtered: Path) -> tuple[Path, MediaInfo]:
    """Return the file that a plan's frames are in, and what its decoder must know of it.

    Args:
        plan: of the job.
        source: the input.
        filtered: where `make_intermediate` put its file, if it was needed.
    """
    return (source, plan.info) if plan.filtered is None else (filtered, plan.filtered)


def open_picture(plan: Plan, source: Path, *, filtered: Path) -> PyAVSource:
    """Open the file that a plan's frames are in; arguments as of `picture_file`."""
    path, info = picture_file(plan, source, filtered=filtered)
    # Damage is in the input; what the filters made of it is whole.
    is_linear = plan.is_damaged and plan.filtered is None
    return PyAVSource(path, info, plan.frames, linear=is_linear, time_base=plan.info.video.time_base)


def film_frames(before: FrameTable) -> FrameTable:
    """Return when film is shown that was telecined into frames `before`, in quarters of their ticks.

    Film frame n is shown 5n/4 video frames after the first one. All else is of the video frame at that time.
    """
    count = -(-len(before) * (CYCLE - 1) // CYCLE)
    quarters = np.arange(count) * CYCLE
    sources, part = quarters // QUARTER, quarters % QUARTER
    # A hole in the recording lasts longer than a frame and is none.
    lasting = np.minimum(before.duration, int(np.median(before.duration)))
    pts = before.pts[sources] * QUARTER + part * lasting[sources]
    end = (int(before.pts[-1]) + int(before.duration[-1])) * QUARTER
    return FrameTable(
        pts=pts,
        source_pts=before.source_pts[sources],
        duration=np.diff(pts, append=end).astype(np.int32),
        luma_crc=before.luma_crc[sources],
        flags=before.flags[sources],
    )


def film_video(video: VideoInfo) -> VideoInfo:
    """Return what is true of the film that was telecined into `video`."""
    rate = video.average_rate_from_header
    return replace(
        video,
        time_base=video.time_base / QUARTER,
        average_rate_from_header=None if rate is None else rate * (CYCLE - 1) / CYCLE,
    )


def tone_mapped_video(video: VideoInfo) -> VideoInfo:
    """Return what is true of HDR `video` once it is SDR."""
    is_rgb = format_facts(video.pix_fmt).family == "gbr"
    matrix = RGB_MATRIX if is_rgb else BT709
    return replace(
        video, colour=replace(video.colour, matrix=matrix, primaries=BT709, transfer=BT709), hdr=None
    )


def _write(frames: Iterator[Frame], video: VideoInfo, filters: Filters, *, output: Path) -> None:
    unfinished = output.with_name(output.name + ".part")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        _run(_graph(video, filters, unfinished), frames, output=output)
        move_durably(unfinished, output)
    except OSError as error:
        raise write_error(output, error) from error
    finally:
        unfinished.unlink(missing_ok=True)


def _graph(video: VideoInfo, filters: Filters, output: Path) -> Any:  # noqa: ANN401  # ffmpeg-python has no types
    """Return ffmpeg-python's description of the run."""
    # Film leaves four fifths of the rate: so that its frame n, too, is at tick n.
    rate = Fraction(RATE * CYCLE, CYCLE - 1) if filters.fields == "film" else RATE
    stream = ffmpeg.input(
        "pipe:",
        format="rawvideo",
        pix_fmt=video.pix_fmt,
        video_size=(video.width, video.height),
        framerate=str(rate),
    )
    parity = {"upper": "tff", "lower": "bff"}[filters.field_order]
    if filters.fields == "film":
        stream = stream.filter("fieldmatch", order=parity, combmatch="full")
        # What no field matches, as where a cut was made after telecine.
        stream = stream.filter("bwdif", mode="send_frame", parity=parity, deint="interlaced")
        stream = stream.filter("decimate")
    elif filters.fields == "deinterlace":
        stream = stream.filter("bwdif", mode="send_frame", parity=parity, deint="all")
    if filters.tone_peak is not None:
        stream = _tone_mapped(stream, video, filters.tone_peak)
    written = ffmpeg.output(
        stream,
        f"file:{output}",
        format="matroska",
        vcodec="ffv1",
        pix_fmt=video.pix_fmt,
        fps_mode="passthrough",
        # Every frame a key frame, with a checksum.
        **{"level": 3, "g": 1, "slices": 4, "slicecrc": 1, "fflags": "+bitexact"},
    )
    # Without conversions of its own a filter that knows less than the pictures hold fails, and says so.
    return written.global_args("-hide_banner", "-loglevel", "error", "-noauto_conversion_filters")


def _tone_mapped(stream: Any, video: VideoInfo, peak: Fraction) -> Any:  # noqa: ANN401  # see _graph
    """Add the way from HDR to BT.709: linear light, other primaries, brightness bent to what SDR can show.

    Diffuse white (203 cd/m2) is 1 in linear light. The mobius curve leaves what is darker than 30 % of that,
    and bends the rest so that `peak` becomes 1.
    """
    colour = resolved_colour(video.colour, pix_fmt=video.pix_fmt, height=video.height)
    is_rgb = format_facts(video.pix_fmt).family == "gbr"
    stream = stream.filter(
        "setparams",
        colorspace=colour.matrix,
        color_trc=colour.transfer,
        color_primaries=BT2020 if colour.primaries == UNSPECIFIED else colour.primaries,
        range="full" if colour.full_range else "limited",
    ).filter("zscale", transfer="linear", npl=float(DIFFUSE_WHITE))
    stream = stream.filter("format", "gbrpf32le").filter("zscale", primaries="bt709")
    stream = stream.filter("tonemap", tonemap="mobius", param=0.3, desat=0, peak=float(peak / DIFFUSE_WHITE))
    return stream.filter(
        "zscale",
        transfer="bt709",
        matrix="gbr" if is_rgb else "bt709",
        range="full" if colour.full_range else "limited",
    ).filter("format", video.pix_fmt)


def _counted(frames: Iterator[Frame], on_progress: Callable[[int], None]) -> Iterator[Frame]:
    for count, frame in enumerate(frames):
        if count % PROGRESS_FRAMES == 0:
            on_progress(count)
        yield frame


def _run(graph: Any, frames: Iterator[Frame], *, output: Path) -> None:  # noqa: ANN401  # see _graph
    command = graph.compile(cmd=imageio_ffmpeg.get_ffmpeg_exe(), overwrite_output=True)
    # In a session of its own it does not hear the terminal's Ctrl-C: who stops it is this process.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    assert process.stdin is not None  # both are pipes
    assert process.stderr is not None
    try:
        for frame in frames:
            for plane in frame.planes:
                process.stdin.write(np.ascontiguousarray(plane).data)
        process.stdin.flush()
    except BrokenPipeError:
        # The program has ended early, and says why below.
        pass
    except BaseException:
        process.kill()
        raise
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        said = process.stderr.read().decode(errors="replace").strip()
        code = process.wait()
        process.stderr.close()
    if code == 0:
        return
    if os.strerror(errno.ENOSPC) in said:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    first = said.partition("\n")[0]
    msg = f"{output}: the ffmpeg program could not filter the pictures (exit {code}): {first}"
    raise MachineError(msg)


def _table(shown: FrameTable, made: FrameTable, *, where: Path) -> FrameTable:
    """Return the table of the filtered frames `made` at the times of `shown`."""
    count = len(shown)
    # Of a pair at the very beginning decimate may keep the second; its picture is shown from the first on.
    first = int(made.source_pts[0])
    if not np.array_equal(made.source_pts, first + np.arange(count)):
        msg = f"{where}: {len(made)} frames came out of the filters, {count} were to"
        raise DamagedInputError(msg)
    key = made.flags & np.uint8(FrameTable.KEY)
    return replace(
        shown,
        source_pts=made.source_pts,
        luma_crc=made.luma_crc,
        flags=np.bitwise_or(key, shown.flags & np.uint8(FrameTable.CORRUPT)),
    )
