"""The commands about quality: `vidsr evaluate` and `vidsr degrade`. They parse, call, print."""

from pathlib import Path
from typing import Annotated

import typer

from vidsr.errors import EXIT_DONE, UsageError


def evaluate(
    pairs: Annotated[
        Path,
        typer.Argument(
            metavar="PAIRS",
            help="Folder with reference/ and one folder a method; pictures or clips. Without reference/, "
            "what needs none is measured.",
        ),
    ],
    weights: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Of tools/fetch_metric_weights.py, for LPIPS, DISTS and NIQE."),
    ] = None,
    networks: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML that names TorchScript or ONNX files, for MUSIQ, MANIQA, CLIP-IQA and FID: "
            "docs/evaluation.md.",
        ),
    ] = None,
    table: Annotated[str, typer.Option("--format", metavar="markdown|csv|json")] = "markdown",
) -> int:
    """Measure restored pictures and clips, against clean ones or by themselves."""
    from vidsr.evaluate import table as tables
    from vidsr.evaluate.pairs import evaluate_pairs
    from vidsr.evaluate.suite import open_metrics

    formats = {"markdown": tables.to_markdown, "csv": tables.to_csv, "json": tables.to_json}
    if table not in formats:
        msg = f"--format {table}: wanted one of {', '.join(formats)}"
        raise UsageError(msg)
    metrics = open_metrics(weights, networks)
    typer.echo(formats[table](evaluate_pairs(pairs, metrics), metrics.sources), nl=False)
    return EXIT_DONE


def degrade(
    input: Annotated[Path, typer.Argument(metavar="IN", help="A picture, a folder of pictures, or a video.")],
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="A PNG, a folder, or a video (mkv or mov); FFV1.")
    ],
    preset: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="bicubic, light, full, video, broadcast, or a YAML file.")
    ],
    seed: Annotated[int, typer.Option(metavar="N", help="All that is drawn follows from it.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that is there.")] = False,
) -> int:
    """Degrade clean pictures or a clip as training does, to a quarter of the size."""
    from vidsr.degrade import degrade as make

    for path in make(input, output, preset=preset, seed=seed, overwrite=overwrite):
        typer.echo(str(path))
    return EXIT_DONE
