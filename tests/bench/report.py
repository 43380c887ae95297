"""A comparison as Markdown, CSV and JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench.results import COSTS, NO_FILES, Block, cost_of
from tests.bench.targets import BICUBIC, LARGE_PEER, Target, targets
from tests.bench.targets import to_markdown as targets_to_markdown
from vidsr.evaluate.table import Row, to_csv, to_json, to_markdown
from vidsr.files import write_whole

BASES = (BICUBIC, LARGE_PEER)
"""Methods that all others are set beside, sample by sample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table of figures."""

    block: Block
    beside: str
    """The method that is taken off all others; empty for the figures themselves."""
    rows: Mapping[str, Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that is written."""

    tables: Sequence[Table]
    blocks: Sequence[Block]
    aims: Sequence[Target]
    about: Mapping[str, object]
    """Machine, weights and settings."""
    sources: Mapping[str, str]
    """What computes each metric."""


def write_report(
    folder: Path, blocks: Sequence[Block], *, about: Mapping[str, object], sources: Mapping[str, str]
) -> str:
    """Write comparison.md, .csv and .json into `folder`; return the Markdown.

    Args:
        folder: is there already.
        blocks: in the order in which they are shown.
        about: machine, weights and settings.
        sources: what computes each metric.
    """
    report = Report(
        tables=list(_tables(blocks)), blocks=blocks, aims=targets(blocks), about=about, sources=sources
    )
    markdown = _markdown(report)
    write_whole(folder / "comparison.md", markdown)
    write_whole(folder / "comparison.csv", _csv(report))
    write_whole(folder / "comparison.json", _json(report))
    return markdown


def _tables(blocks: Sequence[Block]) -> Iterator[Table]:
    for block in blocks:
        if not block.methods:
            continue
        yield Table(block=block, beside="", rows=block.rows())
        for base in BASES:
            if rows := block.rows_beside(base):
                yield Table(block=block, beside=base, rows=rows)


def _markdown(report: Report) -> str:
    parts = ["```json", json.dumps(report.about, indent=2), "```", ""]
    for table in report.tables:
        block = table.block
        if table.beside:
            parts += [f"The same samples, less {table.beside}:", ""]
        else:
            parts += [f"### Held-out {block.kind}, {block.degradation}", ""]
            sizes = _distinct(block.sizes)
            parts += [f"{len(block.samples)}, degraded to {sizes}; mean with 95 % bootstrap interval.", ""]
        parts.append(to_markdown(table.rows))
    parts += [
        "### Costs",
        "",
        costs_to_markdown(report.blocks),
        "### Aims",
        "",
        targets_to_markdown(report.aims),
    ]
    parts += ["### What computed the figures", "", "| metric | computed by |", "|---|---|"]
    parts += [f"| {name} | {source} |" for name, source in report.sources.items()]
    return "\n".join(parts) + "\n"


def costs_to_markdown(blocks: Sequence[Block]) -> str:
    """Return what a frame costs each method, in pictures and in clips."""
    names = list(dict.fromkeys(method.name for block in blocks for method in block.methods))
    kinds = list(dict.fromkeys(block.kind for block in blocks))
    # Operations and memory are of the first sample, the time is of the others.
    sizes = {kind: next(block.sizes for block in blocks if block.kind == kind) for kind in kinds}
    heads = [
        f"{what}, {kind} of {_distinct(sizes[kind][1:] if cost == 'seconds' else sizes[kind][:1])}"
        for kind in kinds
        for cost, what in COSTS.items()
    ]
    lines = [f"| method | parameters, M | {' | '.join(heads)} |", "|---" * (len(heads) + 2) + "|"]
    for name in names:
        cells = [
            _cell(cost_of([block for block in blocks if block.kind == kind], name, cost))
            for kind in kinds
            for cost in COSTS
        ]
        method = next(method for block in blocks for method in block.methods if method.name == name)
        parameters = f"{method.num_parameters / 1e6:.3g}" if method.restore is not None else str(NO_FILES)
        lines.append(f"| {name} | {parameters} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _distinct(sizes: Sequence[str]) -> str:
    return " and ".join(dict.fromkeys(sizes))


def _cell(cost: float | None) -> str:
    return "not computed" if cost is None else f"{cost:.4g}"


def _csv(report: Report) -> str:
    lines: list[str] = []
    for table in report.tables:
        head, *rows = to_csv(table.rows, report.sources).splitlines()
        lines = lines or [f"degradation,samples,beside,{head}"]
        lines += [f"{table.block.degradation},{table.block.kind},{table.beside},{row}" for row in rows]
    return "\n".join(lines) + "\n"


def _json(report: Report) -> str:
    """Return all there is, with the figures of each sample."""
    return json.dumps(
        {
            "about": report.about,
            "tables": [
                {
                    "degradation": table.block.degradation,
                    "samples": table.block.kind,
                    "beside": table.beside,
                    **json.loads(to_json(table.rows)),
                }
                for table in report.tables
            ],
            "samples": [
                {
                    "degradation": block.degradation,
                    "samples": block.kind,
                    "names": block.samples,
                    "figures": block.figures,
                    "made": {name: [asdict(one) for one in made] for name, made in block.made.items()},
                }
                for block in report.blocks
            ],
            "aims": [{**asdict(aim), "is_met": aim.is_met} for aim in report.aims],
            "computed_by": report.sources,
        },
        indent=2,
    )
