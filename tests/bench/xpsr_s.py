"""The variants of xpsr-s that are compared, each run as a job runs it."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from tests.bench.methods import BOTH, Kind, Method, Restore, Restored
from tests.bench.samples import Sample
from tests.frames import rgb_frame
from vidsr.evaluate.image import Pixels
from vidsr.job.parts import parts_of, seed_of
from vidsr.models.compact import weights
from vidsr.models.compact.estimate import SCALE
from vidsr.models.compact.weights import CompactModel, WeightsInfo
from vidsr.models.device import best_dtype
from vidsr.restore.compact import DEFAULT_FUSION, LEAD_IN, CompactRestorer, CompactSettings
from vidsr.types import Carry, LeadIn, Prior, Shot, Work

PICTURES: tuple[Kind, ...] = ("pictures",)
CLIPS: tuple[Kind, ...] = ("clips",)

Told = Literal["measured", "nothing", "truth"]
"""What the prior says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A way to run the weights in a file."""

    name: str
    settings: CompactSettings
    told: Told = "measured"
    kinds: tuple[Kind, ...] = BOTH
    is_extra: bool = False


def xpsr_s(path: Path, *, part_frames: int) -> list[Method]:
    """Return every variant that the weights at `path` allow."""
    variants = _variants(weights.read_info(path))
    named = [replace(variant, name=f"xpsr-s {variant.name}") for variant in variants]
    return methods_of(path, named, part_frames=part_frames)


def methods_of(path: Path, variants: Sequence[Variant], *, part_frames: int) -> list[Method]:
    """Return `variants` of the weights at `path`, which has what they take."""
    model, _ = weights.load(path)
    digest = weights.digest(path)
    return [
        Method(
            name=variant.name,
            identity=f"{digest} {variant.settings} {variant.told} in parts of {part_frames}",
            restore=in_parts(
                CompactRestorer(model, variant.settings),
                variant.settings,
                told=variant.told,
                part_frames=part_frames,
            ),
            num_parameters=_num_parameters(model, variant.settings),
            kinds=variant.kinds,
            is_extra=variant.is_extra,
        )
        for variant in variants
    ]


def estimate_alone() -> CompactSettings:
    """Return how the estimate is run without diffusion."""
    return CompactSettings(scale=SCALE, device="cpu", dtype=best_dtype("cpu"))


def at_full_strength(steps: int) -> str:
    """Return the name of the variant that shows all of what `steps` steps diffuse."""
    return f"{steps} step{'' if steps == 1 else 's'} at strength 1"


def _variants(info: WeightsInfo) -> list[Variant]:
    estimate = estimate_alone()
    priors = with_other_priors("estimate", estimate)
    if not info.steps:
        return [Variant(name="estimate", settings=estimate), *priors]
    default = replace(estimate, steps=info.steps, strength=info.strength, fusion=DEFAULT_FUSION)
    full = {steps: replace(default, steps=steps, strength=1.0) for steps in sorted({1, 2, 4, info.steps})}
    variants = [
        Variant(name="estimate", settings=estimate),
        Variant(name="default", settings=default),
        *(
            Variant(name=at_full_strength(steps), settings=settings, kinds=BOTH if steps == 2 else PICTURES)
            for steps, settings in full.items()
        ),
        *priors,
        *with_other_priors("default", default),
    ]
    unsteady = {
        "default frame by frame": replace(default, warm_start=False),
        "default without fusion": replace(default, fusion=0.0),
        **{
            f"{at_full_strength(steps)} frame by frame": replace(full[steps], warm_start=False)
            for steps in (2, 4)
        },
    }
    variants += [
        Variant(name=name, settings=settings, kinds=CLIPS, is_extra=True)
        for name, settings in unsteady.items()
    ]
    return variants


def with_other_priors(name: str, settings: CompactSettings) -> list[Variant]:
    """Return the variants of `settings` that are told nothing, and the truth."""
    return [
        Variant(name=f"{name} without prior", settings=settings, told="nothing", is_extra=True),
        Variant(name=f"{name} with the true prior", settings=settings, told="truth", is_extra=True),
    ]


def in_parts(
    restorer: CompactRestorer, settings: CompactSettings, *, told: Told, part_frames: int
) -> Restore:
    """Return the method that restores a sample as one shot in parts, as a job does."""
    lead_in = LEAD_IN if settings.steps and settings.warm_start else LeadIn()

    def restore(sample: Sample) -> Restored:
        made: list[Pixels] = []
        steps: list[int] = []
        prior = _prior(sample, told)
        shot = Shot(index=0, start=0, stop=len(sample.degraded))
        for part in parts_of([shot], part_frames=part_frames, lead_in=lead_in):
            carry: Carry | None = None
            for index in range(part.lead_in, part.stop):
                work = Work(
                    part_index=part.index,
                    frame=rgb_frame(sample.degraded[index].transpose(2, 0, 1), index),
                    prior=prior,
                    carry=carry,
                    seed=seed_of(part.lead_in, job_seed=0),
                )
                (done,) = restorer.step([work])
                carry = done.carry
                steps.append(done.steps)
                if index >= part.start:
                    green, blue, red = done.frame.planes
                    made.append(np.stack([red, green, blue], axis=2))
        return Restored(frames=made, steps=statistics.mean(steps))

    return restore


def _prior(sample: Sample, told: Told) -> Prior:
    if told == "measured":
        return sample.measured
    return sample.true if told == "truth" else Prior()


def _num_parameters(model: CompactModel, settings: CompactSettings) -> int:
    used = model if settings.steps else model.estimate
    return sum(weight.numel() for weight in used.parameters())
