"""What was aimed at, and by how much each aim was met or missed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.bench.results import COMPARED, HIGHER_IS_BETTER, PSNR, WARP_RATIO, Block, cost_of, mean
from vidsr.evaluate.suite import DISTS, LPIPS
from vidsr.evaluate.table import NotComputed

ESTIMATE, DEFAULT = "xpsr-s estimate", "xpsr-s default"
WHOLE = ("xpsr-s 1 step at strength 1", "xpsr-s 2 steps at strength 1", "xpsr-s 4 steps at strength 1")
BICUBIC, LARGE_PEER, SMALL_PEER = "bicubic", "realesrgan-x4plus", "realesr-animevideov3-x4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One aim: a figure that is to lie on one side of a bound."""

    what: str
    bound: float
    is_floor: bool
    """The figure is to be at least the bound; otherwise at most."""
    found: float | None
    """None where something that it takes was not computed."""

    @property
    def is_met(self) -> bool | None:
        """Whether it is met; None where that is not known."""
        if self.found is None:
            return None
        return self.found >= self.bound if self.is_floor else self.found <= self.bound

    @property
    def outcome(self) -> str:
        """What the table says: whether it is met, and how far the figure lies from the bound."""
        if self.found is None:
            return "not computed"
        return f"{'met' if self.is_met else 'missed'} by {abs(self.found - self.bound):.4f}"


def targets(blocks: Sequence[Block]) -> list[Target]:
    """Return the aims that `blocks` have the samples for."""
    found: list[Target] = []
    for block in blocks:
        if (block.degradation, block.kind) == ("light", "pictures"):
            found += [*_over_bicubic(block), *_against_large_peer(block)]
        if (block.degradation, block.kind) == ("bicubic", "pictures"):
            found.append(_difference(block, DEFAULT, BICUBIC, PSNR, bound=-0.3))
        found += [_difference(block, DEFAULT, SMALL_PEER, metric) for metric in COMPARED[block.kind]]
        if block.kind == "clips":
            found += _steadiness(block)
    return found


def to_markdown(found: Sequence[Target]) -> str:
    """Return the aims as a table."""
    lines = ["| aim | wanted | found | |", "|---|---|---|---|"]
    for target in found:
        wanted = f"{'at least' if target.is_floor else 'at most'} {target.bound:g}"
        figure = "" if target.found is None else f"{target.found:.4f}"
        lines.append(f"| {target.what} | {wanted} | {figure} | {target.outcome} |")
    return "\n".join(lines) + "\n"


def _over_bicubic(block: Block) -> Iterator[Target]:
    yield _difference(block, ESTIMATE, BICUBIC, PSNR, bound=0.5)
    yield _difference(block, DEFAULT, BICUBIC, PSNR, bound=0.3)
    yield _difference(block, DEFAULT, BICUBIC, LPIPS, bound=-0.12)
    for method in WHOLE:
        yield _difference(block, method, ESTIMATE, LPIPS, bound=-0.03)
        yield _difference(block, method, ESTIMATE, DISTS)


def _against_large_peer(block: Block) -> Iterator[Target]:
    """Yield for each variant what it is to have all at once."""
    for method in (DEFAULT, *WHOLE):
        for metric in (LPIPS, DISTS, PSNR):
            yield _difference(block, method, LARGE_PEER, metric)
        own, theirs = (cost_of([block], name, "gflop") for name in (method, LARGE_PEER))
        share = own / theirs if own is not None and theirs else None
        yield _target(block, f"{method}: FLOPs as a share of {LARGE_PEER}'s", share, bound=0.1)


def _steadiness(block: Block) -> Iterator[Target]:
    ratios = block.values(DEFAULT, WARP_RATIO)
    worst = max((ratio for ratio in ratios or [] if ratio is not None), default=None)
    yield _target(block, f"{DEFAULT}: {WARP_RATIO}", _mean(ratios), bound=1.2)
    yield _target(block, f"{DEFAULT}: {WARP_RATIO}, worst clip", worst, bound=1.2)


def _difference(block: Block, method: str, other: str, metric: str, *, bound: float = 0.0) -> Target:
    found = _mean(block.differences(method, other, metric))
    what = f"{method} against {other}: {metric}"
    return _target(block, what, found, bound=bound, is_floor=metric in HIGHER_IS_BETTER)


def _target(block: Block, what: str, found: float | None, *, bound: float, is_floor: bool = False) -> Target:
    where = f"{block.degradation}, {block.kind}"
    return Target(what=f"{where}: {what}", bound=bound, is_floor=is_floor, found=found)


def _mean(values: Sequence[float | None] | None) -> float | None:
    found = mean(values)
    return None if isinstance(found, NotComputed) else found.mean
