"""Makes the plan: the one decision about everything, before a frame is restored."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from vidsr.errors import DamagedInputError
from vidsr.files import sha256_of
from vidsr.job.job import Stages
from vidsr.media.container import decide_output
from vidsr.media.filters import decide_filters
from vidsr.media.index import Thumbnail, build_index
from vidsr.media.intermediate import make_intermediate
from vidsr.media.sequence import files_of
from vidsr.media.versions import media_versions
from vidsr.types import InputIdentity, MediaInfo, Plan
from vidsr.version import __version__


def identify(path: Path) -> InputIdentity:
    """Return which bytes the file or the pictures at `path` hold."""
    files = files_of(path)
    digests = [sha256_of(file) for file in files]
    together = hashlib.sha256("".join(digests).encode()).hexdigest()
    return InputIdentity(
        path=str(path),
        size_bytes=sum(file.stat().st_size for file in files),
        sha256=together if len(files) > 1 else digests[0],
    )


def versions() -> dict[str, str]:
    """Return the versions that a plan depends on: another decoder may decode another picture."""
    return {"vidsr": __version__, **media_versions()}


def refuse_damaged(path: str, losses: Sequence[str]) -> None:
    """Refuse an input that has lost something.

    Raises:
        DamagedInputError: naming all that is lost.
    """
    if losses:
        msg = f"{path}: damaged: {'; '.join(losses)}; without --strict the rest is restored"
        raise DamagedInputError(msg)


def make_plan(
    *,
    identity: InputIdentity,
    info: MediaInfo,
    output_suffix: str | None,
    stages: Stages,
    filtered_path: Path,
    strict: bool,
    on_progress: Callable[[int], None],
) -> Plan:
    """Decode the input once and decide everything about the job.

    Args:
        identity: of the input's bytes.
        info: what its header says.
        output_suffix: ending that the user asked for, None for the source's own kind of container.
        stages: what will do the work.
        filtered_path: where the pictures go if they are filtered before they are restored.
        strict: refuse a damaged input.
        on_progress: called with the number of frames seen, now and then.

    Raises:
        DamagedInputError: `strict`, and something is lost.
        InputError: nothing can be decoded.
    """
    detector = stages.make_detector()

    def look(index: int, thumbnail: Thumbnail) -> None:
        detector.feed(index, thumbnail)
        if index % 64 == 0:
            on_progress(index)

    source = Path(identity.path)
    index = build_index(source, info, on_frame=look)
    if strict:
        refuse_damaged(identity.path, index.losses)
    found, frames, filtered = index.info, index.frames, None
    filters = decide_filters(index.scan, found.video, deinterlace=stages.deinterlace, hdr=stages.hdr)
    if filters.is_needed:
        filtered = make_intermediate(
            source, index, filters, output=filtered_path, on_frame=look, on_progress=on_progress
        )
        found, frames = replace(found, video=filtered.video), filtered.frames
    shots = detector.shots(len(frames))
    decision = decide_output(
        found,
        frames=frames,
        splices=index.splices,
        suffix=output_suffix,
        codec=stages.encode.codec,
        scale=stages.restorer.scale,
        on_incompatible=stages.on_incompatible,
    )
    return Plan(
        input=identity,
        info=found,
        frames=frames,
        shots=shots,
        streams=decision.streams,
        output=decision.output,
        config=stages.config,
        weights=stages.restorer.weights,
        seed=stages.seed,
        versions=versions() | ({} if filtered is None else {"ffmpeg": filtered.ffmpeg_version}),
        decode_errors=index.decode_errors,
        losses=index.losses,
        splices=index.splices,
        repairs=index.repairs,
        warnings=(*filters.reasons, *decision.warnings),
        filtered=None if filtered is None else filtered.file,
    )
