"""Outputs made from small inputs by the media package alone, without the job around it."""

from collections.abc import Sequence
from pathlib import Path

from vidsr.media.container import decide_output
from vidsr.media.decode import open_source
from vidsr.media.encode import EncodeSettings, SegmentWriter
from vidsr.media.index import build_index
from vidsr.media.mux import assemble
from vidsr.media.probe import probe
from vidsr.media.streams import OnIncompatible
from vidsr.types import InputIdentity, Plan

PART_FRAMES = 16
"""So that the inputs, which have 25 to 70 frames, become several segments."""


def plan_for(
    source: Path,
    *,
    suffix: str | None = None,
    codec: str = "h264",
    scale: int = 1,
    on_incompatible: OnIncompatible = "convert",
) -> Plan:
    """Plan an output of `source`."""
    index = build_index(source, probe(source), on_frame=lambda _index, _thumbnail: None)
    decision = decide_output(
        index.info,
        frames=index.frames,
        splices=index.splices,
        suffix=suffix,
        codec=codec,
        scale=scale,
        on_incompatible=on_incompatible,
    )
    return Plan(
        input=InputIdentity(path=str(source), size_bytes=source.stat().st_size, sha256=""),
        info=index.info,
        frames=index.frames,
        shots=(),
        streams=decision.streams,
        output=decision.output,
        config={},
        weights="none",
        seed=0,
        versions={},
        decode_errors=index.decode_errors,
        losses=index.losses,
        splices=index.splices,
        repairs=index.repairs,
        warnings=decision.warnings,
    )


def encode(plan: Plan, folder: Path, *, settings: EncodeSettings) -> Sequence[Path]:
    """Encode the frames of the plan's input, as they are, in parts."""
    folder.mkdir(exist_ok=True)
    source = open_source(Path(plan.input.path), plan.info, plan.frames, linear=False)
    segments = []
    for start in range(0, len(plan.frames), PART_FRAMES):
        segments.append(folder / f"{start}.mkv")
        writer = SegmentWriter(segments[-1], settings=settings, output=plan.output)
        for frame in source.frames(start, min(start + PART_FRAMES, len(plan.frames))):
            writer.write(frame)
        writer.close()
    source.close()
    return segments


def assembled(
    source: Path,
    folder: Path,
    *,
    suffix: str | None = None,
    codec: str = "h264",
    preset: str = "veryfast",
    on_incompatible: OnIncompatible = "convert",
) -> tuple[Plan, Path]:
    """Plan, encode and assemble; x264's veryfast and slower reorder frames."""
    plan = plan_for(source, suffix=suffix, codec=codec, on_incompatible=on_incompatible)
    segments = encode(
        plan, folder / "segments", settings=EncodeSettings(codec=codec, preset=preset, threads=2)
    )
    output = folder / "out.part"
    assemble(plan=plan, source=source, segments=segments, output=output)
    return plan, output
