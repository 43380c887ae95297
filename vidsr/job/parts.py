"""How shots are divided into parts, and the seed that belongs to each."""

import hashlib
from collections.abc import Mapping, Sequence

from vidsr.types import Fade, LeadIn, Part, Shot


def parts_of(
    shots: Sequence[Shot], *, part_frames: int, lead_in: LeadIn, lead_ins: Mapping[int, LeadIn] | None = None
) -> tuple[Part, ...]:
    """Divide every shot into parts of `part_frames` frames, counted from the shot's own start.

    A border depends on its shot alone, never on who works or what was finished before, so any
    schedule restores the same frames. The last part of a shot holds what is left.

    Args:
        shots: in order, tiling the video.
        part_frames: length of a part, at least 1.
        lead_in: of each part; never across a cut.
        lead_ins: of the shots that have another one, by their index.
    """
    own = lead_ins or {}
    bounds = [
        (shot, start, min(start + part_frames, shot.stop))
        for shot in shots
        for start in range(shot.start, shot.stop, part_frames)
    ]
    return tuple(
        _part(index, shot, start, stop, lead_in=own.get(shot.index, lead_in))
        for index, (shot, start, stop) in enumerate(bounds)
    )


def seed_of(lead_in: int, *, job_seed: int) -> int:
    """Return the seed, [0, 2**63), of the part whose lead-in begins with frame `lead_in`."""
    digest = hashlib.sha256(f"{job_seed}:{lead_in}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _part(index: int, shot: Shot, start: int, stop: int, *, lead_in: LeadIn) -> Part:
    fade = None
    if lead_in.fade and stop < shot.stop:
        fade = Fade(
            lead_in=max(shot.start, stop - lead_in.frames), start=max(start, stop - lead_in.fade), stop=stop
        )
    return Part(
        index=index,
        shot_index=shot.index,
        lead_in=max(shot.start, start - lead_in.frames),
        start=start,
        stop=stop,
        fade=fade,
    )
