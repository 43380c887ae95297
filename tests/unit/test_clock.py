"""Timelines: exact where the source is sound, strictly increasing where it is not."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidsr.media.clock import INT32_MAX, MAX_REPAIR_LINES, dts_ladder, rescale, sanitise
from vidsr.types import NO_PTS

TIMES = st.integers(min_value=-(2**48), max_value=2**48)
RISING = st.lists(TIMES, unique=True, max_size=60).map(sorted)
TICK = Fraction(40)


def mend(pts, *, hint=TICK, **rest):
    return sanitise(np.array(pts, dtype=np.int64), duration_hint=hint, **rest)


@pytest.mark.parametrize(("pts", "expected"), [(1, 0), (3, 2), (5, 2), (-1, 0), (7, 4)])
def test_rescale_rounds_half_to_even(pts, expected):
    assert rescale(pts, Fraction(1, 2), Fraction(1)) == expected


@given(TIMES, st.integers(1, 100_000), st.integers(1, 90))
def test_rescale_to_a_finer_clock_and_back_is_exact(pts, rate, finer):
    source, target = Fraction(1, rate), Fraction(1, rate * finer)
    assert rescale(rescale(pts, source, target), target, source) == pts


@given(RISING)
def test_a_sound_timeline_is_left_alone(pts):
    mended = mend(pts)
    assert mended.pts.tolist() == pts
    assert mended.repairs == ()


@given(st.lists(st.one_of(TIMES, st.just(NO_PTS)), max_size=60), st.booleans())
def test_any_timeline_becomes_strictly_increasing(pts, may_jump):
    mended = mend(pts, jump_ticks=10_000 if may_jump else None)
    assert len(mended.pts) == len(pts)
    assert (np.diff(mended.pts) > 0).all()
    assert bool(mended.repairs) == (mended.pts.tolist() != pts)


@given(RISING.filter(bool))
def test_a_duration_lasts_until_the_next_frame(pts):
    mended = mend(pts, last_duration=7)
    expected = [*np.diff(pts).tolist(), 7]
    assert mended.durations.tolist() == [min(step, INT32_MAX) for step in expected]


def test_the_last_frame_lasts_as_long_as_a_usual_one_where_the_source_is_silent():
    assert mend([0, 50, 100]).durations.tolist() == [50, 50, 40]


@given(RISING.filter(lambda pts: len(pts) > 2), st.data())
def test_a_missing_time_comes_back_between_its_neighbours(pts, data):
    index = data.draw(st.integers(1, len(pts) - 2))
    if pts[index + 1] - pts[index - 1] < 3:
        return
    mended = mend([*pts[:index], NO_PTS, *pts[index + 1 :]])
    assert pts[index - 1] < mended.pts[index] < pts[index + 1]
    assert np.delete(mended.pts, index).tolist() == pts[:index] + pts[index + 1 :]
    assert mended.repairs == (f"frame {index}: came without a time; it was rebuilt from the frames around",)


def test_missing_first_times_are_counted_back_from_the_first_known_one():
    mended = mend([NO_PTS, NO_PTS, 20, 60])
    assert mended.pts.tolist() == [-60, -20, 20, 60]
    assert mended.repairs == ("frames 0 to 1: came without a time; it was rebuilt from the frames around",)


def test_without_any_time_frames_follow_at_the_rate():
    mended = mend([NO_PTS] * 4, hint=Fraction(1001, 30))
    assert mended.pts.tolist() == [0, 33, 67, 100]


@pytest.mark.parametrize("wrong", [0, 80, 40, 5000])
def test_one_wrong_time_is_put_between_its_neighbours(wrong):
    right = [0, 40, 80, 120, 160, 200, 240]
    mended = mend([*right[:3], wrong, *right[4:]])
    assert mended.pts.tolist() == right
    assert len(mended.repairs) == 1
    assert "had a time out of order" in mended.repairs[0]


def test_a_hole_is_kept():
    pts = [0, 40, 80, 8000, 8040]
    assert mend(pts, jump_ticks=10_000).pts.tolist() == pts


def test_a_restarted_clock_goes_on_where_it_stopped():
    pts = [90_000 + 40 * n for n in range(12)] + [500 + 40 * n for n in range(12)]
    mended = mend(pts)
    assert mended.pts.tolist() == [90_000 + 40 * n for n in range(24)]
    assert len(mended.repairs) == 1
    assert mended.repairs[0].startswith("frame 12: the timeline jumps by")


def test_a_jump_forward_is_a_splice_only_where_the_container_may_have_one():
    pts = [40 * n for n in range(12)] + [900_000 + 40 * n for n in range(12)]
    assert mend(pts).pts.tolist() == pts
    assert mend(pts, jump_ticks=10_000).pts.tolist() == [40 * n for n in range(24)]


def test_many_repairs_are_summed_up():
    pts = [n for index in range(3 * MAX_REPAIR_LINES) for n in (100 * index, NO_PTS)]
    mended = mend(pts)
    assert len(mended.repairs) == MAX_REPAIR_LINES + 1
    assert mended.repairs[-1] == f"and {2 * MAX_REPAIR_LINES} repairs more"


def test_a_rate_of_zero_is_refused():
    with pytest.raises(ValueError, match="duration_hint must be above 0"):
        mend([0], hint=Fraction(0))


@given(RISING.filter(bool), st.integers(0, 6))
def test_decode_times_rise_and_follow_the_ladder(pts, delay):
    ladder = dts_ladder(np.array(pts), delay=delay)
    assert len(ladder) == len(pts)
    assert (np.diff(ladder) > 0).all()
    assert ladder[delay:].tolist() == pts[: max(0, len(pts) - delay)]


@given(RISING.filter(bool), st.integers(0, 6), st.randoms(use_true_random=False))
def test_no_picture_is_decoded_after_it_is_shown(pts, delay, random):
    ladder = dts_ladder(np.array(pts), delay=delay)
    waiting = list(range(len(pts)))
    for position, dts in enumerate(ladder.tolist()):
        # Any picture may be next, but none may wait longer than `delay` places.
        is_due = waiting[0] == position - delay
        place = waiting.pop(0 if is_due else random.randrange(len(waiting)))
        assert dts <= pts[place]


def test_a_negative_delay_is_refused():
    with pytest.raises(ValueError, match="delay must not be negative"):
        dts_ladder(np.array([0]), delay=-1)
