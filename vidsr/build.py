"""From a configuration to the objects that do the work. The only importer of config below the command line.

A new captioner or restorer is one function and one line here, in CAPTIONERS or RESTORERS.
"""

import dataclasses
import difflib
import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsr.caption.cache import PriorCache, default_folder
from vidsr.caption.file import FileCaptioner
from vidsr.caption.none import NoCaptioner
from vidsr.caption.protocol import Captioner
from vidsr.config import degradation_preset, restore_preset
from vidsr.config_sections import CaptionConfig, JobConfig, RestoreConfig
from vidsr.errors import ConfigError, MissingWeightsError
from vidsr.files import sha256_of
from vidsr.job.job import ShotStage, Stages
from vidsr.media.encode import EncodeSettings
from vidsr.media.limits import Limits
from vidsr.models import model_folder
from vidsr.restore.bicubic import BicubicRestorer
from vidsr.restore.by_shot import by_shot
from vidsr.restore.protocol import RestorerFacts
from vidsr.shots import ContentShots, OneShot, ShotDetector
from vidsr.types import LeadIn, ShotSettings

if TYPE_CHECKING:
    from vidsr.train.degradation import DegradationSet


def build_stages(job_config: JobConfig) -> Stages:
    """Return everything a job needs; the model itself is not loaded yet.

    Raises:
        ConfigError: values that do not go together.
        MachineError: a device, codec or weights that are not there.
    """
    restore, facts = RESTORERS[job_config.restore.restorer](job_config.restore)
    caption, captioner = CAPTIONERS[job_config.caption.captioner](job_config.caption)
    resolved = job_config.model_copy(update={"restore": restore, "caption": caption})
    asked = captioner.settings if isinstance(captioner, FileCaptioner) else {}
    shots = {
        index: _shot_stage(job_config.restore, settings, where=f"{caption.file}: shot {index}")
        for index, settings in asked.items()
    }
    names = sorted({stage.config["restorer"] for stage in shots.values()} - {restore.restorer})
    if names:
        others = [RESTORERS[name](_section_of(name, job_config.restore))[1] for name in names]
        facts = by_shot(facts, others)
    return Stages(
        config=resolved.plain(),
        seed=resolved.seed,
        video_stream=resolved.plan.video_stream,
        frame_rate=resolved.plan.frame_rate,
        on_incompatible=resolved.plan.on_incompatible,
        part_frames=resolved.plan.part_frames,
        batch_parts=restore.batch_parts,
        make_detector=functools.partial(_make_detector, resolved),
        captioner=captioner,
        stand_in=_stand_in(resolved.caption),
        restorer=facts,
        encode=EncodeSettings(**resolved.encode.model_dump(exclude={"hdr"})),
        limits=limits_of(resolved),
        stall_seconds=resolved.run.stall_seconds,
        hdr=resolved.encode.hdr,
        deinterlace=resolved.plan.deinterlace,
        shots=shots,
    )


def limits_of(job_config: JobConfig) -> Limits:
    """Return what an input may ask of this machine."""
    return Limits(**job_config.limits.model_dump())


def degradation_set(preset: str) -> "DegradationSet":
    """Return a shipped set of degradations by its name, or that of a YAML file.

    Raises:
        ConfigError: there is none, or it is not a set.
    """
    from vidsr.train.settings import degradation_of, read_degradation

    if preset.endswith((".yaml", ".yml")):
        return read_degradation(Path(preset))
    return degradation_of(degradation_preset(preset), where=f"degradation preset {preset}")


def _shot_stage(config: RestoreConfig, asked: ShotSettings, *, where: str) -> ShotStage:
    """Decide how a shot is restored in a job of `config`; whoever restores it also checks what is asked."""
    name = config.restorer if asked.restorer is None else asked.restorer
    if name not in RESTORERS:
        near = difflib.get_close_matches(name, RESTORERS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(RESTORERS)}"
        msg = f"{where}: unknown restorer {name!r}; {hint}"
        raise ConfigError(msg)
    changes = {key: value for key, value in dataclasses.asdict(asked).items() if value is not None}
    if asked.strength == 0:
        # Without diffusion, its steps and its guidance in other shots mean nothing.
        changes = {"steps": None, "guidance_scale": None} | changes
    try:
        restore, facts = RESTORERS[name](_section_of(name, config).model_copy(update=changes))
    except ConfigError as error:
        msg = f"{where}: {error}"
        raise ConfigError(msg) from error
    settings = ShotSettings(
        strength=restore.strength, guidance_scale=restore.guidance_scale, restorer=restore.restorer
    )
    return ShotStage(
        asked=asked,
        settings=settings,
        lead_in=facts.lead_in,
        weights=facts.weights,
        config=restore.model_dump(mode="json"),
    )


def _section_of(name: str, config: RestoreConfig) -> RestoreConfig:
    """Return the restore section for shots of restorer `name` in a job of `config`.

    What is set for one restorer says nothing about another: that one works as its preset says, at the job's
    scale, and where the preset leaves the device open, on the job's.
    """
    if name == config.restorer:
        return config
    preset = restore_preset(name)
    device = config.device if preset.device == "auto" else preset.device
    return preset.model_copy(
        update={"scale": config.scale, "batch_parts": config.batch_parts, "device": device}
    )


def _make_detector(config: JobConfig) -> ShotDetector:
    if config.plan.cut_detector == "none":
        return OneShot()
    return ContentShots(threshold=config.plan.cut_threshold)


def _measured(config: CaptionConfig) -> tuple[CaptionConfig, Captioner]:
    # OpenCV takes a fifth of a second to import: only who measures pays for it.
    from vidsr.caption.measured import MeasuredCaptioner

    if config.tags is None:
        return config, MeasuredCaptioner(frames_per_shot=config.frames_per_shot)
    # And torch two seconds: only who wants tags pays for that.
    from vidsr.caption.tags import Tagger

    path = Path(config.tags)
    tagger = Tagger.load(path)
    digest = sha256_of(path)
    if config.tags_sha256 not in {None, digest}:
        msg = f"{path}: its SHA-256 is {digest}, but caption.tags_sha256 asks for {config.tags_sha256}"
        raise MissingWeightsError(msg)
    captioner = MeasuredCaptioner(frames_per_shot=config.frames_per_shot, tags_of=tagger.tags)
    return config.model_copy(update={"tags_sha256": digest}), captioner


def _stand_in(config: CaptionConfig) -> Captioner | None:
    if config.on_error == "fail":
        return None
    from vidsr.caption.measured import MeasuredCaptioner

    return MeasuredCaptioner(frames_per_shot=config.frames_per_shot)


def _mllm(config: CaptionConfig) -> tuple[CaptionConfig, Captioner]:
    folder, digest = low_folder, low_digest = _find_model("model", config.model, config.model_digest)
    if config.low_model is not None:
        low_folder, low_digest = _find_model("low_model", config.low_model, config.low_model_digest)
    # transformers and torch take seconds to import: only who asks a model that is there pays for it.
    from vidsr.caption import mllm
    from vidsr.models.device import large_model_dtype, resolve_device

    device = resolve_device(config.device)
    dtype = large_model_dtype(device) if config.dtype == "auto" else config.dtype
    captioner = mllm.MllmCaptioner(
        high_level=mllm.Inquiry(folder=folder, digest=digest, question=config.high_question),
        low_level=mllm.Inquiry(folder=low_folder, digest=low_digest, question=config.low_question),
        decoding=mllm.Decoding(max_new_tokens=config.max_new_tokens, device=device, dtype=dtype),
        frames_per_shot=config.frames_per_shot,
        batch_shots=config.batch_shots,
        cache=PriorCache(folder=default_folder(os.environ)) if config.cache else None,
    )
    resolved = {
        "model_digest": digest,
        "low_model_digest": None if config.low_model is None else low_digest,
        "device": device,
        "dtype": dtype,
    }
    return config.model_copy(update=resolved), captioner


def _find_model(key: str, name: str, wanted_digest: str | None) -> tuple[Path, str]:
    """Return the folder of a model and its digest, which must be the one that the configuration holds."""
    folder = model_folder.find(name)
    digest = model_folder.digest_of(folder)
    if wanted_digest not in {None, digest}:
        msg = f"{name}: its digest is {digest}, but caption.{key}_digest asks for {wanted_digest}"
        raise MissingWeightsError(msg)
    return folder, digest


def _file(config: CaptionConfig) -> tuple[CaptionConfig, Captioner]:
    if config.file is None:
        msg = "caption.captioner=file needs caption.file, or --priors FILE"
        raise ConfigError(msg)
    return config, FileCaptioner(Path(config.file))


def _none(config: CaptionConfig) -> tuple[CaptionConfig, Captioner]:
    return config, NoCaptioner()


CAPTIONERS: dict[str, Callable[[CaptionConfig], tuple[CaptionConfig, Captioner]]] = {
    "measured": _measured,
    "mllm": _mllm,
    "file": _file,
    "none": _none,
}


def _bicubic(config: RestoreConfig) -> tuple[RestoreConfig, RestorerFacts]:
    _refuse_others(config, "bicubic", ("steps", "strength", "guidance_scale", "warm_start", "fusion"))
    if config.device == "cuda":
        msg = "restorer bicubic works on the CPU only; leave out --device, or take restorer xpsr-s"
        raise ConfigError(msg)
    facts = RestorerFacts(
        name="bicubic",
        scale=config.scale,
        lead_in=LeadIn(),
        weights="none",
        make=functools.partial(BicubicRestorer, scale=config.scale),
    )
    resolved = {"device": "cpu", "dtype": "float32", "steps": 0, "strength": 0.0}
    return config.model_copy(update=resolved), facts


def _xpsr_s(config: RestoreConfig) -> tuple[RestoreConfig, RestorerFacts]:
    # torch takes two seconds to import: only who runs a network pays for it.
    from vidsr.models.device import best_dtype, resolve_device
    from vidsr.restore import compact

    _refuse_others(config, "xpsr-s", ())
    if config.dtype == "float16":
        msg = "restore.dtype=float16: xpsr-s runs in float32 or bfloat16; take auto"
        raise ConfigError(msg)
    shipped = compact.shipped_weights()
    guidance_scale = 1.0 if config.guidance_scale is None else config.guidance_scale
    steps, strength = compact.resolve_diffusion(
        shipped.info, steps=config.steps, strength=config.strength, guidance_scale=guidance_scale
    )
    device = resolve_device(config.device)
    resolved: dict[str, Any] = {
        "device": device,
        "dtype": best_dtype(device) if config.dtype == "auto" else config.dtype,
        "steps": steps,
        "strength": strength,
        "guidance_scale": guidance_scale,
        "warm_start": config.warm_start is not False,
        "fusion": compact.DEFAULT_FUSION if config.fusion is None else config.fusion,
    }
    # A shot may have a strength where the video has none, and then takes steps.
    at_most = {"steps": shipped.info.steps if config.steps is None else steps}
    settings = compact.CompactSettings(scale=config.scale, **resolved | at_most)
    facts = RestorerFacts(
        name="xpsr-s",
        scale=config.scale,
        lead_in=compact.LEAD_IN if steps and settings.warm_start else LeadIn(),
        weights=shipped.digest,
        make=functools.partial(compact.CompactRestorer.load, shipped.path, settings),
    )
    return config.model_copy(update=resolved), facts


def _xpsr(config: RestoreConfig) -> tuple[RestoreConfig, RestorerFacts]:
    from vidsr.models import store
    from vidsr.models.device import large_model_dtype, resolve_device
    from vidsr.restore.xpsr.load import load_networks
    from vidsr.restore.xpsr.restorer import LEAD_IN, XpsrRestorer
    from vidsr.restore.xpsr.settings import XpsrSettings

    _refuse_others(config, "xpsr", ("fusion",))
    if config.steps == 0 or config.strength == 0:
        msg = "restorer xpsr is all diffusion: restore.steps and restore.strength must be above 0"
        raise ConfigError(msg)
    device = resolve_device(config.device)
    own = config.xpsr.model_dump(exclude={"weights", "tiny_autoencoder"}, exclude_none=True)
    named = ("steps", "strength", "guidance_scale", "warm_start")
    own |= {name: getattr(config, name) for name in named if getattr(config, name) is not None}
    if device == "cpu":
        # A CPU gains little by batches, and row by row no frame depends on its neighbours, to the bit.
        own.setdefault("max_batch", 1)
    is_paper, dtype = config.mode == "paper", config.dtype
    if dtype == "auto":
        dtype = "float32" if is_paper else large_model_dtype(device)
    make: Callable[..., XpsrSettings] = XpsrSettings if is_paper else XpsrSettings.recommended
    settings = make(scale=config.scale, device=device, dtype=dtype, **own)
    if config.strength is not None and not settings.warm_start:
        msg = (
            f"restore.strength={config.strength:g} is of frames that start warm, and restorer xpsr is run "
            "without a warm start here; leave it out, or set restore.warm_start=true"
        )
        raise ConfigError(msg)
    weights = store.locate(config.xpsr.weights, kind="xpsr")
    tiny = None if config.xpsr.tiny_autoencoder is None else Path(config.xpsr.tiny_autoencoder)
    facts = RestorerFacts(
        name="xpsr",
        scale=config.scale,
        lead_in=LEAD_IN if settings.warm_start else LeadIn(),
        weights=weights.digest,
        make=functools.partial(
            XpsrRestorer,
            functools.partial(load_networks, weights.path, settings, tiny_autoencoder=tiny),
            settings,
        ),
    )
    plain = dataclasses.asdict(settings)
    resolved = {name: plain[name] for name in ("device", "dtype", *named)}
    resolved["xpsr"] = config.xpsr.model_copy(
        update={name: plain[name] for name in type(config.xpsr).model_fields if name in plain}
    )
    return config.model_copy(update=resolved), facts


def _refuse_others(config: RestoreConfig, restorer: str, without: Sequence[str]) -> None:
    """Refuse what the user sets and the restorer has not.

    Raises:
        ConfigError: naming the key.
    """
    nothing: dict[str, tuple[float | None, ...]] = {"guidance_scale": (None, 1)}
    foreign = [name for name in without if getattr(config, name) not in nothing.get(name, (None, 0))]
    if restorer != "xpsr":
        default = RestoreConfig()
        foreign += [] if config.mode == default.mode else ["mode"]
        foreign += [f"xpsr.{name}" for name, value in config.xpsr if value != getattr(default.xpsr, name)]
    if foreign:
        msg = f"restorer {restorer} has no restore.{foreign[0]}; leave it out, or take a restorer that has it"
        raise ConfigError(msg)


RESTORERS: dict[str, Callable[[RestoreConfig], tuple[RestoreConfig, RestorerFacts]]] = {
    "bicubic": _bicubic,
    "xpsr-s": _xpsr_s,
    "xpsr": _xpsr,
}
