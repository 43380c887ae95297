"""What a training sample is told of its degradation: mostly the truth."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from vidsr.degradation_words import LEVELS, Degradation, describe
from vidsr.models.compact.estimate import SCALE, enlarge
from vidsr.train.degradation import Degraded
from vidsr.train.draw import Draw
from vidsr.train.kernels import filter_picture
from vidsr.train.settings import CaptionPolicy


def told(clean: Tensor, degraded: Degraded, policy: CaptionPolicy, draw: Draw) -> tuple[Tensor, str]:
    """Decide what of a degradation is to be undone, and say what was done.

    What the caption names, or leaves open, is restored. What it denies ("no noise") although it is there
    stays in the target: that is what gives the words their power.

    Returns:
        The target, as large as `clean` [3, 4h, 4w], and the low-level prior.
    """
    truth = degraded.truth
    denied: str | None = None
    target = clean
    if draw.chance(policy.keep_probability):
        denied, target = _deny(clean, degraded, draw)
    if denied is None and draw.chance(policy.empty_probability):
        return target, ""
    if draw.chance(policy.misjudge_probability):
        truth = _misjudged(truth, draw)
    phrases = describe(truth).split(", ")
    if denied is not None:
        phrases = [f"{LEVELS[0]} {denied}" if phrase.endswith(denied) else phrase for phrase in phrases]
    kept = [
        phrase
        for phrase in phrases
        if phrase.endswith(denied or "?") or not draw.chance(policy.drop_probability)
    ]
    return target.clamp(0, 1), ", ".join(kept)


def without_captions(policy: CaptionPolicy) -> CaptionPolicy:
    """Return the policy of validation: the whole truth, and everything restored.

    A network that is never told a word in training is told none here either.
    """
    return replace(
        policy,
        empty_probability=float(policy.empty_probability == 1),
        drop_probability=0.0,
        keep_probability=0.0,
        misjudge_probability=0.0,
    )


def _misjudged(truth: Degradation, draw: Draw) -> Degradation:
    """Return the truth as the measuring captioner would have it.

    Its errors on degraded photographs of the pack: noise off by a factor of 1.35, and three times as much
    where all of a picture is texture; blur by 0.16; the losses of compression by a factor of four.
    """
    noise, blur, losses = draw.normal(3).tolist()
    texture = 0.8 if draw.chance(0.15) else 0.0
    lost = 100.5 - (100.0 if truth.jpeg_quality is None else truth.jpeg_quality)
    return Degradation(
        noise_sigma=(truth.noise_sigma or 0.0) * math.exp(0.3 * noise + texture),
        blur_sigma=max(0.0, (truth.blur_sigma or 0.0) + 0.16 * blur),
        jpeg_quality=min(100.0, max(1.0, 100.5 - lost * math.exp(0.4 + 1.3 * losses))),
    )


def _deny(clean: Tensor, degraded: Degraded, draw: Draw) -> tuple[str | None, Tensor]:
    """Pick a degradation that is there; return its word and the target that keeps it."""
    is_there = [
        name
        for name, truth in (
            ("noise", Degradation(noise_sigma=degraded.truth.noise_sigma)),
            ("blur", Degradation(blur_sigma=degraded.truth.blur_sigma)),
            ("compression blocks", Degradation(jpeg_quality=degraded.truth.jpeg_quality)),
        )
        if describe(truth) and not describe(truth).startswith(LEVELS[0])
    ]
    if not is_there:
        return None, clean
    name = is_there[draw.integer(len(is_there))]
    if name == "blur":
        return name, _blurred(clean, sigma=SCALE * (degraded.truth.blur_sigma or 0))
    before = degraded.without_noise if name == "noise" else degraded.without_compression
    return name, clean + enlarge((degraded.lr - before)[None])[0]


def _blurred(clean: Tensor, *, sigma: float) -> Tensor:
    radius = max(1, min(12, round(3 * sigma)))
    axis = torch.arange(-radius, radius + 1, dtype=torch.float32)
    line = torch.exp(-(axis**2) / (2 * sigma**2))
    kernel = torch.outer(line, line)
    return filter_picture(clean[None], kernel / kernel.sum())[0]
