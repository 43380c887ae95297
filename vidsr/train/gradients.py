"""What may be taken of a gradient: a step along one that is not finite would ruin the weights for good."""

import math

from vidsr.errors import DivergedError


def refuse_diverged(norm: float, *, step: int) -> None:
    """Pass a finite gradient.

    Args:
        norm: of the gradient over everything that is trained, before it is limited.
        step: that it is for, counted from 0.

    Raises:
        DivergedError: it is infinite or not a number. No weight has been changed yet.
    """
    if not math.isfinite(norm):
        msg = (
            f"step {step}: the gradient is not finite (its norm is {norm}), and the step was not taken; run "
            "again to go on from the last checkpoint, with a lower learning_rate or in float32 if it recurs"
        )
        raise DivergedError(msg)
