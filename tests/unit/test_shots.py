"""Cuts: each at its frame, and none where nobody cut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus import CLASSES, EXTRAS, make
from vidsr.media.index import build_index
from vidsr.media.probe import probe
from vidsr.shots import ContentShots, OneShot, shots_between

THRESHOLD = 27.0
SIZE = (48, 64, 3)


def scene(seed, count, *, noise=0.0):
    """Return `count` pictures of one place: blocks of colour, and noise that is new in every picture."""
    rng = np.random.default_rng(seed)
    blocks = np.kron(rng.integers(30, 226, (6, 8, 3)), np.ones((8, 8, 1)))
    return [np.clip(blocks + rng.normal(0, noise, SIZE), 0, 255).astype(np.uint8) for _ in range(count)]


def starts(pictures, *, detector=None):
    detector = detector or ContentShots(threshold=THRESHOLD)
    for index, picture in enumerate(pictures):
        detector.feed(index, picture)
    shots = detector.shots(len(pictures))
    assert [shot.index for shot in shots] == list(range(len(shots)))
    assert [shot.start for shot in shots] == [0, *(shot.stop for shot in shots[:-1])]
    assert shots[-1].stop == len(pictures)
    return [shot.start for shot in shots]


@pytest.mark.parametrize(
    "lengths", [[10], [10, 10], [12, 1, 12], [1, 12], [12, 1], [12, 2, 1, 12], [9, 3, 3, 9], [20, 7, 30, 11]]
)
def test_every_cut_is_found_at_its_frame(lengths):
    pictures = [picture for seed, length in enumerate(lengths) for picture in scene(seed, length, noise=2)]
    assert starts(pictures) == [0, *np.cumsum(lengths)[:-1].tolist()]


@pytest.mark.parametrize("noise", [5, 30, 80])
def test_noise_is_no_cut(noise):
    assert starts(scene(1, 30, noise=noise)) == [0]


def test_dark_colour_noise_is_no_cut():
    """Hue has no meaning near black: PySceneDetect's score is above its threshold in all these frames."""
    rng = np.random.default_rng(0)
    assert starts([rng.integers(0, 40, SIZE, dtype=np.uint8) for _ in range(30)]) == [0]


def test_a_cut_in_noise_is_found():
    assert starts([*scene(1, 15, noise=15), *scene(2, 15, noise=15)]) == [0, 15]


@pytest.mark.parametrize("speed", [1, 4, 16])
def test_a_pan_is_no_cut_not_even_where_it_begins_and_ends(speed):
    rng = np.random.default_rng(3)
    wide = np.kron(rng.integers(0, 256, (6, 150, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    places = [0] * 12 + [speed * n for n in range(30)] + [speed * 29] * 12
    assert starts([wide[:, place : place + 64] for place in places]) == [0]


def test_a_strobe_is_one_shot():
    pictures = [np.full(SIZE, 255 * (index % 2), np.uint8) for index in range(30)]
    assert starts(pictures) == [0]


def test_a_fade_is_no_cut():
    before, after = scene(1, 1)[0].astype(float), scene(2, 1)[0].astype(float)
    fade = [(before * (1 - share) + after * share).astype(np.uint8) for share in np.linspace(0, 1, 25)]
    assert starts([*scene(1, 10), *fade, *scene(2, 10)]) == [0]


def test_a_lower_threshold_finds_weaker_cuts():
    first = scene(1, 10)
    weaker = [np.clip(picture.astype(int) + 12, 0, 255).astype(np.uint8) for picture in scene(1, 10)]
    assert starts([*first, *weaker]) == [0]
    assert starts([*first, *weaker], detector=ContentShots(threshold=3.0)) == [0, 10]


def test_frame_zero_begins_a_new_video():
    detector = ContentShots(threshold=THRESHOLD)
    assert starts([*scene(1, 5), *scene(2, 5)], detector=detector) == [0, 5]
    assert starts(scene(3, 5), detector=detector) == [0]


def test_a_frame_out_of_order_is_refused():
    detector = ContentShots(threshold=THRESHOLD)
    detector.feed(0, scene(1, 1)[0])
    with pytest.raises(ValueError, match="frame 2 was fed after 1 frames"):
        detector.feed(2, scene(1, 1)[0])
    with pytest.raises(ValueError, match="1 frames were fed, shots of 9 are wanted"):
        detector.shots(9)


def test_one_shot_takes_everything():
    assert starts([*scene(1, 5), *scene(2, 5)], detector=OneShot()) == [0]


@given(st.integers(1, 200), st.sets(st.integers(1, 199)))
def test_shots_tile_the_video(num_frames, cuts):
    shots = shots_between(sorted(cut for cut in cuts if cut < num_frames), num_frames=num_frames)
    covered = [frame for shot in shots for frame in range(shot.start, shot.stop)]
    assert covered == list(range(num_frames))


@pytest.mark.parametrize("name", [*CLASSES, "pan", "noise", "splice"])
def test_real_files_are_cut_where_they_were_joined(name, corpus_folder):
    facts = (CLASSES | EXTRAS)[name]
    path = make(name, corpus_folder)
    detector = ContentShots(threshold=THRESHOLD)
    result = build_index(path, probe(path), on_frame=detector.feed)
    found = [shot.start for shot in detector.shots(len(result.frames))]
    assert found == [0, *facts.cuts]
