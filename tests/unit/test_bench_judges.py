"""The judges of a comparison say what those of `vidsr evaluate` say."""

from pathlib import Path

import numpy as np
import pytest

from tests.bench.judges import open_judges
from tests.metric_weights import write_random_weights
from vidsr.evaluate.suite import DISTS, open_metrics
from vidsr.models.device import has_fast_bfloat16


def test_dists_beside_a_kept_reference_is_the_same(tmp_path: Path) -> None:
    weights = write_random_weights(tmp_path)
    kept, wanted = open_judges(weights).by_name[DISTS], open_metrics(weights).by_name[DISTS]
    assert kept is not None
    assert wanted is not None
    pictures = np.random.default_rng(1).integers(0, 256, (4, 48, 48, 3), dtype=np.uint8)
    first, second, *made = pictures[0], pictures[1] // 8, *pictures[2:]
    # The reference stays, changes, and comes back.
    pairs = [(made[0], first), (made[1], first), (made[0], second), (made[1], first)]
    found = [kept(one, reference) for one, reference in pairs]
    # Bfloat16, where a processor has it, is short.
    error = 1e-3 if has_fast_bfloat16("cpu") else 0.0
    assert found == pytest.approx([wanted(one, reference) for one, reference in pairs], rel=0, abs=error)
    assert abs(found[0] - found[2]) > 2 * error
    assert found[1] == found[3]


def test_the_table_says_where_dists_is_short(tmp_path: Path) -> None:
    source = open_judges(write_random_weights(tmp_path)).sources[DISTS]
    assert source.endswith(", in bfloat16") == has_fast_bfloat16("cpu")


def test_without_weights_it_is_not_there() -> None:
    assert open_judges(None).by_name[DISTS] is None
