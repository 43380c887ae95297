"""The judges of a comparison say what those of `vidsr evaluate` say."""

from pathlib import Path

import numpy as np

from tests.bench.judges import open_judges
from tests.metric_weights import write_random_weights
from vidsr.evaluate.suite import DISTS, open_metrics


def test_dists_beside_a_kept_reference_is_the_same(tmp_path: Path) -> None:
    weights = write_random_weights(tmp_path)
    kept, wanted = open_judges(weights).by_name[DISTS], open_metrics(weights).by_name[DISTS]
    assert kept is not None
    assert wanted is not None
    pictures = np.random.default_rng(1).integers(0, 256, (4, 48, 48, 3), dtype=np.uint8)
    first, second, *made = list(pictures)
    # The reference stays, changes, and comes back.
    pairs = [(made[0], first), (made[1], first), (made[0], second), (made[1], first)]
    found = [kept(one, reference) for one, reference in pairs]
    assert found == [wanted(one, reference) for one, reference in pairs]
    assert found[0] != found[2]


def test_without_weights_it_is_not_there() -> None:
    assert open_judges(None).by_name[DISTS] is None
