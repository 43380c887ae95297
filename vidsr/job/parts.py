"""How shots are divided into parts, and the seed that belongs to each."""

import hashlib
from collections.abc import Mapping, Sequence

from vidsr.types import Part, Shot


def parts_of(
    shots: Sequence[Shot], *, part_frames: int, lead_in: int, lead_ins: Mapping[int, int] | None = None
) -> tuple[Part, ...]:
    """Divide every shot into parts of `part_frames` frames, counted from the shot's own start.

    A border depends on its shot alone, never on who works or what was finished before, so any
    schedule restores the same frames. The last part of a shot holds what is left.

    Args:
        shots: in order, tiling the video.
        part_frames: length of a part, at least 1.
        lead_in: frames restored and dropped before each part so that it starts warm; never across a cut.
        lead_ins: of the shots that have another one, by their index.
    """
    own = lead_ins or {}
    bounds = [
        (shot, start, min(start + part_frames, shot.stop))
        for shot in shots
        for start in range(shot.start, shot.stop, part_frames)
    ]
    return tuple(
        Part(
            index=index,
            shot_index=shot.index,
            lead_in=max(shot.start, start - own.get(shot.index, lead_in)),
            start=start,
            stop=stop,
        )
        for index, (shot, start, stop) in enumerate(bounds)
    )


def seed_of(part: Part, *, job_seed: int) -> int:
    """Return the part's own seed, [0, 2**63): a function of the job's seed and its first frame alone."""
    digest = hashlib.sha256(f"{job_seed}:{part.lead_in}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
