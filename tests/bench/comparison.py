"""How good xpsr-s is beside others: every method on the same degraded pixels, in one run.

    python -m tests.bench.comparison --heldout HELDOUT --clips CLIPS --metrics METRICS --peers PEERS \\
        --output DIR

HELDOUT is made by tools/collect_heldout.py, CLIPS by tools/fetch_clips.py, METRICS by
tools/fetch_metric_weights.py, PEERS by tools/fetch_peers.py; each may be left out. Pictures and clips are
reduced to a quarter and degraded by each set of --degradations, then restored by each method as a job would:
clips in parts of --part-frames frames, each with its lead-in. The tables are printed, and written with all
figures to DIR/comparison.md, .csv and .json.

What was made and measured is kept in DIR/<degradation>: another run computes what is new, with other weights
xpsr-s alone. Processes with different --degradations may share DIR; one run of all then makes the tables.
--methods takes names of the table with commas between. It also takes some that run only where they are named:

    xpsr-s estimate without prior                  xpsr-s estimate with the true prior
    xpsr-s default without prior                   xpsr-s default with the true prior
    xpsr-s default frame by frame                  xpsr-s default without fusion
    xpsr-s 2 steps at strength 1 frame by frame    xpsr-s 4 steps at strength 1 frame by frame
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench import samples
from tests.bench.end_to_end import machine
from tests.bench.judges import open_judges
from tests.bench.methods import Kind, Method, chosen, enlargements, peers
from tests.bench.report import write_report
from tests.bench.results import QUALITY, STEADINESS, Block, of_sample
from tests.bench.samples import Sample
from tests.bench.store import Store
from tests.bench.threads import one_thread
from tests.bench.xpsr_s import xpsr_s
from vidsr.evaluate.suite import Metrics
from vidsr.models.compact import weights

DEGRADATIONS = "light,full,bicubic"


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, restore, measure, write and print."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.heldout is None and options.clips is None:
        parser.error("nothing to compare methods on; give --heldout, --clips or both")
    options.output.mkdir(parents=True, exist_ok=True)
    metrics = open_judges(options.metrics)
    about = {
        **machine(),
        "weights": weights.digest(options.weights)[:12],
        **{name: getattr(options, name) for name in ("seed", "every", "frames", "part_frames", "draws")},
    }
    sources = {name: source for name, source in metrics.sources.items() if name in (*QUALITY, *STEADINESS)}
    with one_thread():
        found = [
            *enlargements(),
            *xpsr_s(options.weights, part_frames=options.part_frames),
            *peers(options.peers),
        ]
        methods = chosen(found, options.methods)
        blocks = [
            block
            for degradation in options.degradations.split(",")
            for block in _blocks(degradation, methods, metrics, options)
        ]
    print(write_report(options.output, blocks, about=about, sources=sources))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.comparison",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--heldout", type=Path, help="folder of PNG pictures")
    parser.add_argument("--clips", type=Path, help=f"folder of {', '.join(samples.CLIPS)}")
    parser.add_argument("--metrics", type=Path, help="weights of LPIPS, DISTS and NIQE")
    parser.add_argument("--peers", type=Path, help="networks of others")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--degradations", default=DEGRADATIONS, help="sets of configs/train/degradation")
    parser.add_argument("--methods", default="", help="all that need no request otherwise")
    parser.add_argument("--weights", type=Path, default=weights.SHIPPED, help="of xpsr-s")
    parser.add_argument("--every", type=int, default=1, help="take every n-th picture")
    parser.add_argument("--frames", type=int, default=12, help="take as many of each clip")
    parser.add_argument("--part-frames", type=int, default=6)
    parser.add_argument("--draws", type=int, default=1, help="degradations of each clip")
    parser.add_argument("--seed", type=int, default=2024, help="of the degradation")
    return parser


def _blocks(
    degradation: str, methods: Sequence[Method], metrics: Metrics, options: argparse.Namespace
) -> Iterator[Block]:
    """Yield pictures and clips, where there are any."""
    settings, folder = samples.read_set(degradation), options.output / degradation
    if options.heldout is not None:
        pictures = samples.pictures(options.heldout, settings, seed=options.seed, every=options.every)
        store = Store(folder / "pictures", metrics, kind="pictures")
        yield compare(degradation, "pictures", pictures, methods, store)
    if options.clips is not None:
        clips = samples.clips(
            options.clips, settings, seed=options.seed, frames=options.frames, draws=options.draws
        )
        store = Store(folder / "clips", metrics, kind="clips")
        yield compare(degradation, "clips", clips, methods, store, part_frames=options.part_frames)


def compare(
    degradation: str,
    kind: Kind,
    found: Iterator[Sample],
    methods: Sequence[Method],
    store: Store,
    *,
    part_frames: int = 1,
) -> Block:
    """Return what those of `methods` that take samples of this kind made of the samples in `found`."""
    block = Block(
        degradation=degradation, kind=kind, methods=[method for method in methods if kind in method.kinds]
    )
    runnable = [method for method in block.methods if method.restore is not None]
    for number, sample in enumerate(found):
        borders = range(part_frames, len(sample.clean), part_frames)
        # The first is counted and the others timed: counting slows small operations down.
        for name, result in store.results(runnable, sample, counts=number == 0).items():
            block.made.setdefault(name, []).append(result.made)
            block.figures.setdefault(name, []).append(of_sample(result, borders=borders))
        block.samples.append(sample.name)
        height, width = sample.degraded[0].shape[:2]
        block.sizes.append(f"{width}x{height}")
        print(f"{degradation}, {kind}: {sample.name}", file=sys.stderr, flush=True)
    return block


if __name__ == "__main__":
    main()
