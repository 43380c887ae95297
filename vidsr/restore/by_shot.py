"""Several restorers in one job: each shot goes to the one that its settings name."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from vidsr.restore.protocol import Restorer, RestorerFacts
from vidsr.types import Done, Work


class ByShotRestorer:
    """Passes each frame on to the restorer that its shot names, and to the job's own where it names none.

    A restorer is made when the first frame for it comes, and kept.
    """

    def __init__(self, own: str, make: Mapping[str, Callable[[], Restorer]]) -> None:
        """Make nothing yet.

        Args:
            own: name of the job's own restorer.
            make: what makes each restorer, by name.
        """
        self._own = own
        self._make = make
        self._made: dict[str, Restorer] = {}

    def step(self, batch: Sequence[Work]) -> Sequence[Done]:
        """Restore the frames of `batch`, those of one restorer in one step of it."""
        shares: dict[str, list[int]] = {}
        for position, work in enumerate(batch):
            name = self._own if work.settings.restorer is None else work.settings.restorer
            shares.setdefault(name, []).append(position)
        results: dict[int, Done] = {}
        for name, positions in shares.items():
            done = self._restorer(name).step([batch[position] for position in positions])
            results.update(zip(positions, done, strict=True))
        return [results[position] for position in range(len(batch))]

    def _restorer(self, name: str) -> Restorer:
        if name not in self._made:
            self._made[name] = self._make[name]()
        return self._made[name]


def by_shot(own: RestorerFacts, others: Sequence[RestorerFacts]) -> RestorerFacts:
    """Return the facts of a restorer that leaves to `others` the shots that name them.

    Lead-in and weights are those of `own`; a shot that names another has the other's.

    Raises:
        ValueError: their scales differ.
    """
    everyone = [own, *others]
    if len({facts.scale for facts in everyone}) > 1:
        msg = f"one video has one scale, got {[(facts.name, facts.scale) for facts in everyone]}"
        raise ValueError(msg)
    make = {facts.name: facts.make for facts in everyone}
    return replace(own, make=functools.partial(ByShotRestorer, own.name, make))
