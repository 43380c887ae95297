"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

Input = Annotated[
    Path,
    typer.Argument(
        metavar="INPUT", help="The video, picture, or pattern of pictures: f_%04d.png.", show_default=False
    ),
]
Pipeline = Annotated[str, typer.Option(metavar="NAME|FILE", help="A shipped pipeline, or a YAML file.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY.PATH=VALUE", help="Override one setting; may be repeated.", show_default=False
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse a damaged input instead of restoring what is left of it.")
]
VideoStream = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Index of the stream to restore. Default: the default one, or the largest."
    ),
]
FrameRate = Annotated[
    str | None,
    typer.Option(
        metavar="RATE", help="Of numbered pictures: how many a second, such as 24000/1001. Default: 25."
    ),
]
OnIncompatible = Annotated[
    str | None,
    typer.Option(
        metavar="convert|mkv|stop|drop",
        help="For streams that the output's container cannot hold: convert them to the nearest type (the "
        "default), make the output an mkv, stop, or leave them out.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Deinterlace = Annotated[
    str | None,
    typer.Option(metavar="auto|on|off", help="Filter interlaced and telecined video first. Default: auto."),
]
Progress = Annotated[
    str, typer.Option(metavar="auto|plain|json|none", help="How progress is shown, on stderr.")
]
