"""Noise that is averaged away over time, and what is left alone."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from vidsr.restore.quieten import MAX_SHARE, noise_sigma, quieten, share_of_before

EVERYWHERE = np.ones((64, 64), dtype=np.bool_)


def _scene() -> NDArray[np.float32]:
    rows, columns = np.mgrid[:64, :64] / 64
    return np.stack([rows, columns, (rows + columns) / 2]).astype(np.float32) / 2 + 0.25


def _noisy(sigma: float, seed: int) -> NDArray[np.float32]:
    """The scene with gray noise of so many 8-bit levels."""
    noise = np.random.default_rng(seed).normal(0, sigma / 255, (1, 64, 64))
    return (_scene() + noise).astype(np.float32)


def _error(frame: NDArray[np.float32]) -> float:
    """Return the root mean squared error in 8-bit levels."""
    return 255 * float(np.sqrt(((frame - _scene()) ** 2).mean()))


@pytest.mark.parametrize("sigma", [2.0, 6.0, 15.0])
def test_the_noise_is_read_from_two_frames(sigma: float) -> None:
    assert noise_sigma(_noisy(sigma, 1), _noisy(sigma, 2), EVERYWHERE) == pytest.approx(sigma, rel=0.1)


def test_noise_is_read_where_the_motion_is_trusted_and_what_changes_there_does_not_reach_it() -> None:
    frame, before = _noisy(6, 1), _noisy(6, 2)
    before[:, :20] = 0
    assert noise_sigma(frame, before, EVERYWHERE) == pytest.approx(10, abs=3)
    below = EVERYWHERE.copy()
    below[:20] = False
    assert noise_sigma(frame, before, below) == pytest.approx(6, rel=0.1)


def test_more_noise_takes_more_of_the_frame_before_and_never_more_than_half() -> None:
    shares = [share_of_before(sigma) for sigma in (0, 1, 2, 3, 5, 8, 20, 100)]
    assert shares[:3] == [0, 0, 0]
    assert all(less < more for less, more in pairwise(shares[2:7]))
    assert shares[-2:] == [MAX_SHARE, MAX_SHARE]


def test_noise_grows_less_with_every_frame() -> None:
    quiet = _noisy(8, 0)
    errors = [_error(quiet)]
    for seed in range(1, 4):
        quiet = quieten(_noisy(8, seed), quiet, EVERYWHERE)
        errors.append(_error(quiet))
    assert all(later < earlier for earlier, later in pairwise(errors))
    assert errors[-1] < 0.7 * errors[0]


def test_a_clean_frame_stays_as_it_is_to_the_bit() -> None:
    frame = _noisy(1, 1)
    np.testing.assert_array_equal(quieten(frame, _noisy(1, 2), EVERYWHERE), frame)


def test_what_is_not_trusted_stays_as_it_is() -> None:
    trusted = EVERYWHERE.copy()
    trusted[:, 32:] = False
    frame, before = _noisy(8, 1), _noisy(8, 2)
    quiet = quieten(frame, before, trusted)
    np.testing.assert_array_equal(quiet[:, :, 32:], frame[:, :, 32:])
    assert _error_of_part(quiet) < 0.9 * _error_of_part(frame)


def _error_of_part(frame: NDArray[np.float32]) -> float:
    return float(np.abs(frame - _scene())[:, :, :28].mean())
