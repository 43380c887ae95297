"""The command line: parses, calls, prints. Errors are one line and an exit code (vidsr.errors)."""

import dataclasses
import io
import json
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.exceptions import TyperException

from vidsr import config, events
from vidsr.cli_measure import degrade, evaluate
from vidsr.cli_models import models_app
from vidsr.cli_options import (
    AsJson,
    Deinterlace,
    FrameRate,
    Input,
    OnIncompatible,
    Pipeline,
    Progress,
    Settings,
    Strict,
    VideoStream,
)
from vidsr.errors import EXIT_DONE, StalledError, Stopped, UsageError, VidsrError
from vidsr.memory import keep_freed_blocks
from vidsr.stopping import end_process, stop_on_signals
from vidsr.terminal import printable
from vidsr.version import __version__

app = typer.Typer(
    name="vidsr",
    help="Restore and upscale video: every frame at its own time, every other stream copied.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
config_app = typer.Typer(help="Look at pipelines and their configuration.")
app.add_typer(config_app, name="config")
app.add_typer(models_app, name="models")
app.command()(evaluate)
app.command()(degrade)


@app.command()
def run(  # noqa: PLR0913, PLR0917  # one parameter an option
    input: Input,  # the word users read in the usage line
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="OUTPUT", help="Default: INPUT_restored.<ext>.")
    ] = None,
    pipeline: Pipeline = "enhance",
    restorer: Annotated[
        str | None, typer.Option(metavar="bicubic|xpsr-s|xpsr", help="What restores the frames.")
    ] = None,
    scale: Annotated[int | None, typer.Option(metavar="2|3|4", help="How many times larger.")] = None,
    priors: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML of `vidsr caption`, perhaps edited.")
    ] = None,
    deinterlace: Deinterlace = None,
    settings: Settings = None,
    video_stream: VideoStream = None,
    frame_rate: FrameRate = None,
    on_incompatible: OnIncompatible = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of all noise.")] = None,
    device: Annotated[str | None, typer.Option(metavar="auto|cpu|cuda", help="Where the model runs.")] = None,
    work_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where finished parts are kept. Default: OUTPUT.vidsr")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that is there.")] = False,
    resume: Annotated[
        bool,
        typer.Option(
            " /--no-resume", show_default=False, help="Throw away what an earlier run left unfinished."
        ),
    ] = True,
    strict: Strict = False,
    progress: Progress = "auto",
) -> int:
    """Restore a video."""
    from vidsr.api import enhance

    report = enhance(
        input,
        output,
        pipeline=pipeline,
        overrides=_overrides(
            settings,
            {
                "restore.restorer": restorer,
                "restore.scale": scale,
                "plan.deinterlace": deinterlace,
                "plan.video_stream": video_stream,
                "plan.frame_rate": frame_rate,
                "plan.on_incompatible": on_incompatible,
                "seed": seed,
                "restore.device": device,
            },
            priors=priors,
        ),
        work_dir=work_dir,
        overwrite=overwrite,
        resume=resume,
        strict=strict,
        on_event=_listener(progress),
        on_hang=end_process,
    )
    typer.echo(printable(str(report.output)))
    return report.exit_code


@app.command()
def clean(
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Of a run.", show_default=False)],
    work_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="As it was given to the run. Default: OUTPUT.vidsr")
    ] = None,
) -> int:
    """Remove the unfinished work of an output; the output itself is not touched."""
    from vidsr.job.unfinished import clean as remove

    cleaned = remove(output, work_dir)
    for line in cleaned.removed:
        typer.echo(f"removed {line}")
    for path in cleaned.left:
        typer.echo(f"left {path}: it is not vidsr's")
    if not cleaned.removed:
        typer.echo(f"{output}: there is no unfinished work")
    return EXIT_DONE


@app.command()
def probe(input: Input, as_json: AsJson = False) -> int:
    """Show what the header of a file says."""
    from vidsr.media.probe import probe as read_header
    from vidsr.show import media_lines

    _admit(input)
    info = read_header(input)
    typer.echo(_dump(dataclasses.asdict(info)) if as_json else "\n".join(media_lines(info)))
    return EXIT_DONE


@app.command()
def plan(  # noqa: PLR0913, PLR0917  # one parameter an option
    input: Input,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="OUTPUT")] = None,
    pipeline: Pipeline = "enhance",
    deinterlace: Deinterlace = None,
    settings: Settings = None,
    video_stream: VideoStream = None,
    frame_rate: FrameRate = None,
    on_incompatible: OnIncompatible = None,
    strict: Strict = False,
    as_json: AsJson = False,
) -> int:
    """Show what a run would do, without writing anything."""
    from vidsr.api import plan as make_plan
    from vidsr.job.plan_file import to_json
    from vidsr.show import plan_lines

    options = {
        "plan.deinterlace": deinterlace,
        "plan.video_stream": video_stream,
        "plan.frame_rate": frame_rate,
        "plan.on_incompatible": on_incompatible,
    }
    made = make_plan(input, output, pipeline=pipeline, overrides=_overrides(settings, options), strict=strict)
    typer.echo(to_json(made) if as_json else "\n".join(plan_lines(made)))
    return EXIT_DONE


@app.command()
def verify(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", show_default=False)],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", show_default=False)],
    video_stream: VideoStream = None,
    frame_rate: FrameRate = None,
    on_incompatible: OnIncompatible = None,
) -> int:
    """Exit 0 only if frames, their times and all streams of OUTPUT agree with SOURCE."""
    from vidsr.media.verify import MAX_SCALE
    from vidsr.media.verify import verify as compare

    _admit(source)
    _admit(output, scale=MAX_SCALE)
    options = {
        "plan.video_stream": video_stream,
        "plan.frame_rate": frame_rate,
        "plan.on_incompatible": on_incompatible,
    }
    done = config.load(overrides=_overrides(None, options), environment={}).plan
    report = compare(
        source,
        output,
        video_stream=done.video_stream,
        frame_rate=done.frame_rate,
        on_incompatible=done.on_incompatible,
    )
    for difference in report.differences:
        typer.echo(printable(f"{difference.kind}: {difference.message}"))
    if report.ok:
        typer.echo("frames, times and streams agree")
    return EXIT_DONE if report.ok else VidsrError.exit_code


@app.command()
def caption(
    input: Input,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Default: print.")
    ] = None,
    pipeline: Pipeline = "enhance",
    settings: Settings = None,
    progress: Progress = "auto",
) -> int:
    """Describe every shot in YAML, to be edited and given to `vidsr run --priors`."""
    from vidsr.api import describe
    from vidsr.caption.file import format_priors, write_priors

    shots, priors, asked = describe(
        input, pipeline=pipeline, overrides=_overrides(settings, {}), on_event=_listener(progress)
    )
    if output is None:
        typer.echo(format_priors(shots, priors, asked), nl=False)
    else:
        write_priors(output, shots, priors, asked)
    return EXIT_DONE


@app.command()
def train(  # noqa: PLR0913, PLR0917  # one parameter an option
    config_file: Annotated[
        Path, typer.Option("--config", metavar="FILE", help="Such as configs/train/xpsr.yaml, xpsr-s.yaml.")
    ],
    data: Annotated[Path, typer.Option(metavar="DIR", help="Photographs; for XPSR also pairs.")],
    output: Annotated[Path, typer.Option(metavar="DIR", help="A run that is there goes on.")],
    held_out: Annotated[Path | None, typer.Option(metavar="FILE", help="Pictures to refuse.")] = None,
    lpips: Annotated[Path | None, typer.Option(metavar="WEIGHTS", help="For perceptual_weight.")] = None,
    start_from: Annotated[Path | None, typer.Option(metavar="WEIGHTS", help="Weights to start from.")] = None,
    base: Annotated[
        Path | None, typer.Option(metavar="DIR", help="XPSR: Stable Diffusion 1.5 with its unet/.")
    ] = None,
    ablate: Annotated[
        str | None, typer.Option(metavar="sfa|dfc|prompts", help="XPSR: a part to train without.")
    ] = None,
    device: Annotated[str, typer.Option(metavar="cpu|cuda")] = "cpu",
    ranks: Annotated[int, typer.Option(metavar="N", help="Processes that share a batch.")] = 1,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write the log to OUTPUT/tensorboard, as event files.")
    ] = False,
) -> int:
    """Train the embedded model, or XPSR."""
    import logging

    from vidsr.train.program import TrainOptions, start
    from vidsr.train.xpsr.names import ablation_of

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options = TrainOptions(
        config=config_file,
        data=data,
        output=output,
        held_out=held_out,
        lpips=lpips,
        start_from=start_from,
        base=base,
        ablate=ablation_of(ablate),
        device=device,
        ranks=ranks,
        tensorboard=tensorboard,
    )
    typer.echo(str(start(options)))
    return EXIT_DONE


@config_app.command("show")
def config_show(pipeline: Pipeline = "enhance", settings: Settings = None) -> int:
    """Print the resolved configuration of a pipeline as YAML."""
    import yaml

    resolved = config.load(pipeline, overrides=_overrides(settings, {})).plain()
    typer.echo(yaml.safe_dump(resolved, sort_keys=False), nl=False)
    typer.echo("# shipped pipelines:")
    for name in config.pipeline_names():
        typer.echo(f"#   {name}: {config.pipeline_description(name)}")
    return EXIT_DONE


@config_app.command("schema")
def config_schema() -> int:
    """Print the JSON schema of the configuration."""
    typer.echo(_dump(config.schema()))
    return EXIT_DONE


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit
    _show_help_without_command(context)


@models_app.callback(invoke_without_command=True)
@config_app.callback(invoke_without_command=True)
def _group_root(context: typer.Context) -> None:
    _show_help_without_command(context)


def _show_help_without_command(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(UsageError.exit_code)


def main() -> NoReturn:
    """Run the command line and exit with the code that vidsr.errors documents."""
    for stream in (sys.stdout, sys.stderr):
        # A path may hold bytes that are no text, and a terminal may lack letters: neither is a failure.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    keep_freed_blocks()
    try:
        with stop_on_signals():
            code = app(standalone_mode=False)
    except (Stopped, StalledError) as error:
        # A thread may be held by a native call still, for which the end of the interpreter would wait.
        end_process(error)
    except VidsrError as error:
        sys.exit(_fail(str(error), error.exit_code))
    except TyperException as error:
        sys.exit(_fail(error.format_message(), UsageError.exit_code))
    sys.exit(code if isinstance(code, int) else EXIT_DONE)


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"vidsr: error: {printable(' '.join(message.split()))}\n")
    return code


def _overrides(
    settings: list[str] | None, options: dict[str, Any], *, priors: Path | None = None
) -> dict[str, Any]:
    """Join --set with the options that were given; an option wins over the --set of the same key."""
    overrides = dict(config.parse_assignment(text) for text in settings or [])
    overrides |= {key: value for key, value in options.items() if value is not None}
    if priors is not None:
        overrides |= {"caption.captioner": "file", "caption.file": str(priors)}
    return overrides


def _admit(path: Path, *, scale: int = 1) -> None:
    from vidsr.build import limits_of
    from vidsr.media.admit import admit

    limits = limits_of(config.load())
    admit(path, dataclasses.replace(limits, max_pixels=limits.max_pixels * scale**2))


def _listener(style: str) -> events.Listener:
    if style not in events.PROGRESS_STYLES:
        msg = f"--progress {style}: wanted one of {', '.join(events.PROGRESS_STYLES)}"
        raise UsageError(msg)
    return events.listener_for(style)


def _dump(value: object) -> str:
    # In ASCII, which every terminal, pipe and parser takes, also where a path holds bytes that are no text.
    return json.dumps(value, indent=2, default=str)
