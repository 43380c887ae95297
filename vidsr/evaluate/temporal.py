"""How steady a restored video is.

Each figure is of one step from a frame to the next; a clip's is the mean over its steps. Blur lowers the
first, the third and flicker by itself: read them beside LPIPS, E_warp beside that of the clean video.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from vidsr.evaluate.image import PEAK, Pixels, luma
from vidsr.evaluate.metric import PictureMetric, Step, StepMetric, motion_between
from vidsr.flow import warp

PER_MILLE = 1000.0


def warp_error(step: Step) -> float | None:
    """Return E_warp of the restored video, times 1000.

    Lai et al. 2018, "Learning blind video temporal consistency", eq. 9: the mean squared difference, over
    trusted pixels and colours in [0, 1], of a frame and the next one warped back to it. Differs: the flow is
    DIS and not FlowNet2, so that figures compare only with others made here. None where no pixel is trusted.
    """
    return _warp_error(step, step.before, step.after)


def reference_warp_error(step: Step) -> float | None:
    """Return E_warp of the clean video itself, times 1000: what a perfect result would have."""
    return _warp_error(step, step.reference_before, step.reference_after)


def flicker(before: Pixels, after: Pixels) -> float | None:
    """Return by how many 8-bit levels luma changes from a frame to the next along the result's own motion.

    The mean over pixels whose motion can be trusted; None where there are none, as at a cut. It needs no
    reference. What moves as it should adds what interpolation and changes of light add, little; what boils or
    flickers adds all of it.
    """
    flow, trusted = motion_between(before, after)
    if not trusted.any():
        return None
    here, there = (luma(picture)[None].astype(np.float32) for picture in (before, after))
    change = np.abs(warp(there, flow, interpolation="bilinear") - here)[0]
    return float(change[trusted].astype(np.float64).mean())


def flow_difference(step: Step) -> float:
    """Return tOF: the mean length in pixels of the difference of restored and clean flow.

    Chu et al. 2020, "Learning temporal coherence via self-supervision for GAN-based video generation"
    (TecoGAN), with its code's settings of Farneback's flow.
    """
    restored = _farneback(step.before, step.after)
    clean = _farneback(step.reference_before, step.reference_after)
    return float(np.linalg.norm(restored - clean, axis=2).mean())


def temporal_lpips(lpips: PictureMetric) -> StepMetric:
    """Return tLPIPS, times 1000: by how much the step is larger or smaller to the eye than the clean one.

    Chu et al. 2020: |LPIPS(y[t-1], y[t]) - LPIPS(g[t-1], g[t])|. Differs: no frame or border is left out.
    """

    def measure(step: Step) -> float:
        restored = lpips(step.before, step.after)
        clean = lpips(step.reference_before, step.reference_after)
        return PER_MILLE * abs(restored - clean)

    return measure


def _warp_error(step: Step, before: Pixels, after: Pixels) -> float | None:
    flow, trusted = step.motion
    if not trusted.any():
        return None
    here, there = (
        picture.transpose(2, 0, 1).astype(np.float32) / np.float32(PEAK) for picture in (before, after)
    )
    difference = warp(there, flow, interpolation="bilinear") - here
    return PER_MILLE * float((difference[:, trusted].astype(np.float64) ** 2).mean())


def _farneback(before: Pixels, after: Pixels) -> NDArray[np.float32]:
    """Return the flow [H, W, 2]."""
    gray = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (before, after)]
    start = np.zeros((*gray[0].shape, 2), dtype=np.float32)
    return cv2.calcOpticalFlowFarneback(
        gray[0],
        gray[1],
        start,
        pyr_scale=0.5,
        levels=3,
        winsize=15,
        iterations=3,
        poly_n=5,
        poly_sigma=1.2,
        flags=0,
    ).astype(np.float32)
