import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidsr.job.parts import parts_of, seed_of
from vidsr.types import Fade, LeadIn, Shot


def _shots(lengths: list[int]) -> list[Shot]:
    starts = [sum(lengths[:index]) for index in range(len(lengths))]
    return [
        Shot(index=index, start=start, stop=start + length)
        for index, (start, length) in enumerate(zip(starts, lengths, strict=True))
    ]


@given(st.lists(st.integers(1, 300), min_size=1, max_size=8), st.integers(1, 100), st.integers(0, 10))
def test_parts_tile_the_video_and_stay_inside_their_shot(
    lengths: list[int], part_frames: int, lead_in: int
) -> None:
    shots = _shots(lengths)
    parts = parts_of(shots, part_frames=part_frames, lead_in=LeadIn(frames=lead_in))
    assert [frame for part in parts for frame in range(part.start, part.stop)] == list(range(sum(lengths)))
    assert [part.index for part in parts] == list(range(len(parts)))
    for part in parts:
        shot = shots[part.shot_index]
        assert shot.start <= part.lead_in <= part.start < part.stop <= shot.stop
        assert part.stop - part.start <= part_frames
        assert part.lead_in == max(shot.start, part.start - lead_in)


def test_a_shot_may_have_a_lead_in_of_its_own_and_changes_no_other() -> None:
    plain = parts_of(_shots([20, 20, 20]), part_frames=8, lead_in=LeadIn(frames=2))
    mixed = parts_of(_shots([20, 20, 20]), part_frames=8, lead_in=LeadIn(frames=2), lead_ins={1: LeadIn()})
    for before, after in zip(plain, mixed, strict=True):
        if after.shot_index == 1:
            assert after.lead_in == after.start
        else:
            assert after == before


@given(st.lists(st.integers(1, 300), min_size=2, max_size=6))
def test_borders_depend_on_their_own_shot_alone(lengths: list[int]) -> None:
    with_all = parts_of(_shots(lengths), part_frames=64, lead_in=LeadIn(frames=2))
    last = len(lengths) - 1
    offset = sum(lengths[:-1])
    alone = parts_of([Shot(index=0, start=0, stop=lengths[-1])], part_frames=64, lead_in=LeadIn(frames=2))
    of_last = [(part.start - offset, part.stop - offset) for part in with_all if part.shot_index == last]
    assert of_last == [(part.start, part.stop) for part in alone]


def test_seed_belongs_to_the_first_frame_of_the_lead_in() -> None:
    assert len({seed_of(0, job_seed=7), seed_of(1, job_seed=7), seed_of(0, job_seed=8)}) == 3
    assert 0 <= seed_of(0, job_seed=2**63 - 1) < 2**63


@given(st.lists(st.integers(1, 60), min_size=1, max_size=4), st.integers(1, 30), st.integers(0, 6))
def test_a_part_ends_in_what_the_next_one_of_its_shot_begins_with(
    lengths: list[int], part_frames: int, fade: int
) -> None:
    parts = parts_of(_shots(lengths), part_frames=part_frames, lead_in=LeadIn(frames=fade + 1, fade=fade))
    for part, following in itertools.pairwise([*parts, None]):
        if following is None or following.shot_index != part.shot_index or not fade:
            assert part.fade is None
            continue
        assert part.fade == Fade(
            lead_in=following.lead_in, start=max(part.start, following.start - fade), stop=following.start
        )
        # All frames that it needs for the fade are decoded for it anyway.
        assert part.lead_in <= part.fade.lead_in
        shares = [part.fade.share(index) for index in range(part.start, following.start)]
        assert sorted(shares) == shares
        assert [share for share in shares if share] == [
            number / (part.fade.stop - part.fade.start + 1)
            for number in range(1, part.fade.stop - part.fade.start + 1)
        ]


def test_a_fade_is_no_longer_than_its_lead_in() -> None:
    with pytest.raises(ValueError, match="2 frames has no 3"):
        LeadIn(frames=2, fade=3)
