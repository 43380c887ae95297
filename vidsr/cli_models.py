"""The commands of `vidsr models`: parse, call, print."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from vidsr.errors import EXIT_DONE
from vidsr.models import store
from vidsr.models.store import StoredDType

models_app = typer.Typer(help="Get, list and check the weights of models.")

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="xpsr, or an id ORG/NAME of the hub.", show_default=False)
]
AnyName = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="xpsr, or an id ORG/NAME.", show_default=False)
]
Base = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER|ID",
        help=f"Stable Diffusion 1.5, for XPSR: a folder, or an id of the hub ({store.BASE_ID}).",
        show_default=False,
    ),
]
DType = Annotated[
    StoredDType, typer.Option(help="What weights are stored as; 16 bits take half the space of float32.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a model that is installed.")]


@models_app.command("list")
def list_models(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> int:
    """Show the models that are installed."""
    from vidsr.show import model_lines

    models = store.installed()
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(model) for model in models], indent=2, default=str))
    else:
        typer.echo("\n".join(model_lines(models) or _none_installed()))
    return EXIT_DONE


@models_app.command()
def add(
    name: Name,
    folder: Annotated[
        Path,
        typer.Option(
            "--from", metavar="FOLDER", help="What was downloaded; it is not changed.", show_default=False
        ),
    ],
    base: Base = None,
    dtype: DType = "keep",
    overwrite: Overwrite = False,
) -> int:
    """Install a model from a folder.

    Every tensor of XPSR and its base is checked against its network, the files of a language model against
    their index; .bin files become safetensors.
    """
    from vidsr.models import install
    from vidsr.show import model_lines

    added = install.add(name, folder, base=base, dtype=dtype, overwrite=overwrite)
    typer.echo("\n".join([*added.notes, *model_lines([added.model])]))
    return EXIT_DONE


@models_app.command()
def pull(
    repository: Annotated[
        str, typer.Argument(metavar="ID", help="ORG/NAME on the Hugging Face hub.", show_default=False)
    ],
    revision: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="A branch, tag or commit. Default: the newest.", show_default=False
        ),
    ] = None,
    base: Base = None,
    dtype: DType = "keep",
    overwrite: Overwrite = False,
) -> int:
    """Download a model and install it.

    XPSR, its base, or a language model for captions: what it is, its files say.
    """
    from vidsr.models import install
    from vidsr.show import model_lines

    added = install.pull(repository, revision=revision, base=base, dtype=dtype, overwrite=overwrite)
    typer.echo("\n".join([*added.notes, *model_lines([added.model])]))
    return EXIT_DONE


@models_app.command()
def verify(name: AnyName = None) -> int:
    """Compare every file with what was installed."""
    models = store.verify_all() if name is None else [store.verify(name)]
    lines = [f"{model.name}: {len(model.files)} files are as they were installed" for model in models]
    typer.echo("\n".join(lines or _none_installed()))
    return EXIT_DONE


@models_app.command()
def path(name: AnyName = None) -> int:
    """Print the folder of a model, or of all models."""
    typer.echo(str(store.root() if name is None else store.locate(name).path))
    return EXIT_DONE


def _none_installed() -> list[str]:
    return [f"no model is installed in {store.root()}", f"xpsr: {store.how_to_get('xpsr')}"]
