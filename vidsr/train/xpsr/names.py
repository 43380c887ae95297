"""The words by which a run of XPSR is asked for; importing them brings no network library."""

from typing import Literal, get_args

from vidsr.errors import UsageError

KIND = "xpsr"
"""Of the YAML: what tells such a run from one of the embedded model."""
Ablation = Literal["sfa", "dfc", "prompts"]
"""A part to train without: Semantic-Fusion Attention (the low-level branch and the fusion), the
degradation-free constraint (all 16 heads), or the captions (both are empty)."""
ABLATIONS: tuple[Ablation, ...] = get_args(Ablation)


def ablation_of(word: str | None) -> Ablation | None:
    """Return the part that a user's word means; None for none.

    Raises:
        UsageError: there is no such part.
    """
    for part in ABLATIONS:
        if word == part:
            return part
    if word is not None:
        msg = f"--ablate {word}: wanted one of {', '.join(ABLATIONS)}"
        raise UsageError(msg)
    return None
