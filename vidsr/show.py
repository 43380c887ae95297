"""Files and plans in words, for a person at a terminal: lines that are safe to print."""

from collections.abc import Sequence

from vidsr.events import count
from vidsr.models.store import InstalledModel
from vidsr.terminal import printable
from vidsr.types import HdrMetadata, MediaInfo, Plan, StreamInfo, StreamPlan


def media_lines(info: MediaInfo) -> list[str]:
    """Describe the header of a file, a line a stream."""
    video = info.video
    duration = info.duration_seconds_from_header
    rate = video.average_rate_from_header
    length = "length unknown" if duration is None else f"{duration:.3f} s by its header"
    lines = [
        f"{info.path}: {info.container}, {length}",
        f"picture: stream {video.stream_index}, {video.codec}, {video.width}x{video.height}, {video.pix_fmt}"
        f", pixel aspect {video.sample_aspect_ratio}"
        f", {'rate unknown' if rate is None else f'about {float(rate):.3f} frames/s'}"
        f"{'' if video.display_matrix is None else ', turned or flipped by a display matrix'}",
        f"colour: matrix {video.colour.matrix}, primaries {video.colour.primaries}"
        f", transfer {video.colour.transfer}, {_range_name(video.colour.full_range)}",
    ]
    if video.hdr is not None:
        lines.append(f"HDR: {_hdr_words(video.hdr)}")
    lines += [_stream_line(stream) for stream in info.streams if stream.index != video.stream_index]
    if info.num_chapters:
        lines.append(f"chapters: {info.num_chapters}")
    return [printable(line) for line in lines]


def model_lines(models: Sequence[InstalledModel]) -> list[str]:
    """Describe installed models, a line each and their sources below it."""
    lines = []
    for model in models:
        size = f"{model.size_bytes / 1e9:.2f} GB"
        lines.append(f"{model.name}: {model.kind}, {model.dtype}, {size}, {model.digest[:16]}, {model.path}")
        lines += [f"  from {source}" for source in model.sources]
    return [printable(line) for line in lines]


def plan_lines(plan: Plan) -> list[str]:
    """Describe what a run would do."""
    output = plan.output
    lines = [
        f"{plan.input.path}: {count(len(plan.frames), 'frame')} in {count(len(plan.shots), 'shot')}"
        f"{'' if plan.info.frame_rate is None else f', {plan.info.frame_rate} a second'}",
        f"output: {output.container}, {output.codec}, {output.width}x{output.height}, {output.pix_fmt}"
        f"{f', all streams {float(output.offset):.6f} s later' if output.offset else ''}",
        f"restorer: {plan.config['restore']['restorer']} at {plan.config['restore']['scale']}x"
        f" on {plan.config['restore']['device']} in {plan.config['restore']['dtype']}",
    ]
    lines += [_decision_line(stream) for stream in plan.streams]
    lines += [f"warning: {text}" for text in (*plan.warnings, *plan.repairs)]
    lines += [f"damaged: {text}" for text in plan.losses]
    lines += [f"shot {shot.index}: frames {shot.start} to {shot.stop - 1}" for shot in plan.shots]
    return [printable(line) for line in lines]


def _range_name(full_range: bool | None) -> str:
    return {True: "full range", False: "limited range", None: "range not stated"}[full_range]


def _hdr_words(hdr: HdrMetadata) -> str:
    words = list(hdr.dynamic)
    if hdr.mastering is not None:
        low, high = float(hdr.mastering.min_luminance), float(hdr.mastering.max_luminance)
        words.insert(0, f"mastered on {low:g} to {high:g} cd/m2")
    if hdr.light is not None:
        words.append(
            f"content up to {hdr.light.max_content} cd/m2, frames to {hdr.light.max_average} on average"
        )
    return ", ".join(words)


def _stream_line(stream: StreamInfo) -> str:
    words: Sequence[str] = (
        stream.codec,
        stream.language,
        f'"{stream.title}"' if stream.title else "",
        "cover" if stream.is_cover else "",
        *stream.dispositions,
    )
    return f"{stream.kind}: stream {stream.index}, {', '.join(filter(None, words))}"


def _decision_line(stream: StreamPlan) -> str:
    because = f" ({stream.reason})" if stream.reason else ""
    into = f" to {stream.target}" if stream.target else ""
    return f"stream {stream.source_index}, {stream.kind} {stream.codec}: {stream.action}{into}{because}"
