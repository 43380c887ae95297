"""Motion between two pictures, warping along it, and where it can be trusted.

    flow = estimate_flow(here, there)         # where each pixel of `here` is found in `there`
    moved = warp(there, flow)                 # `there`, seen from `here`
    trusted = consistency_mask(flow, estimate_flow(there, here))

A flow is float32 [2, H, W]: dx to the right and dy downwards, in pixels, so that
here[y, x] corresponds to there[y + dy, x + dx].
"""

from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

Preset = Literal["ultrafast", "fast", "medium"]
Interpolation = Literal["bicubic", "bilinear"]

Flow = NDArray[np.float32]

MIN_SIDE = 32
"""Smaller pictures are padded: where a side has not 8 pixels on the finest level that is searched, a quarter
of the size, DIS in OpenCV takes its pyramid from the width alone and reads outside of the picture."""
CONSISTENCY_RELATIVE, CONSISTENCY_ABSOLUTE = 0.01, 0.5
"""alpha1 and alpha2 of Lai et al. 2018, after Sundaram et al. 2010; both multiply squared pixels."""
BOUNDARY_RELATIVE, BOUNDARY_ABSOLUTE = 0.01, 0.002
"""Ruder et al. 2016, as in Lai's code."""
LIKENESS_LEVELS = 12.0
"""8-bit levels by which the mean of a window may change without being taken for something else."""
LIKENESS_WINDOW = 5
"""Side of that window in pixels: noise must not look like a change."""


def estimate_flow(here: NDArray[np.uint8], there: NDArray[np.uint8], *, preset: Preset = "medium") -> Flow:
    """Estimate where each pixel of `here` is found in `there`.

    Dense inverse search (Kroeger et al. 2016, "Fast optical flow using dense inverse search", ECCV) as OpenCV
    has it. Its result does not depend on the number of threads or on earlier calls.

    Args:
        here: uint8 RGB [3, H, W] or gray [H, W].
        there: of the same shape.
        preset: OpenCV's name; on one core, 960x540 takes some 7, 12 and 60 ms.

    Returns:
        float32 [2, H, W], as the module says.
    """
    # OpenCV takes a fifth of a second to import: only who asks for motion pays for it.
    import cv2

    if here.shape != there.shape:
        msg = f"both pictures must have one shape, got {here.shape} and {there.shape}"
        raise ValueError(msg)
    presets = {
        "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
        "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
        "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
    }
    height, width = here.shape[-2:]
    # An object of its own for each call: it keeps buffers, and two threads must not share them.
    search = cv2.DISOpticalFlow.create(presets[preset])
    found = search.calc(_gray(here), _gray(there), cast(Any, None))
    return np.ascontiguousarray(found[:height, :width].transpose(2, 0, 1), dtype=np.float32)


def warp(
    picture: NDArray[np.float32], flow: Flow, *, interpolation: Interpolation = "bicubic"
) -> NDArray[np.float32]:
    """Return `picture` as seen along `flow`: out[y, x] = picture[y + dy, x + dx].

    Positions are rounded to 1/32 pixel, as OpenCV does; whole ones are exact. Outside of the picture its
    border pixels repeat; `consistency_mask` is False there. Bicubic (a = -0.75) can leave the range of the
    values by its overshoot.

    Args:
        picture: float32 [C, H, W] or [H, W].
        flow: float32 [2, H, W].
        interpolation: of values between pixels.
    """
    import cv2

    height, width = flow.shape[1:]
    if picture.shape[-2:] != (height, width):
        msg = f"picture and flow must have one size, got {picture.shape[-2:]} and {(height, width)}"
        raise ValueError(msg)
    columns = np.arange(width, dtype=np.float32)[None, :] + flow[0]
    rows = np.arange(height, dtype=np.float32)[:, None] + flow[1]
    method = cv2.INTER_CUBIC if interpolation == "bicubic" else cv2.INTER_LINEAR
    planes = picture.reshape(-1, height, width)
    warped = np.empty_like(planes, dtype=np.float32)
    for index, plane in enumerate(planes):
        warped[index] = cv2.remap(plane, columns, rows, method, borderMode=cv2.BORDER_REPLICATE)
    return warped.reshape(picture.shape)


def consistency_mask(forward: Flow, backward: Flow, *, motion_boundaries: bool = False) -> NDArray[np.bool_]:
    """Say for each pixel of `here` whether `there` shows the same point.

    Lai et al. 2018, "Learning blind video temporal consistency", ECCV, eq. 8: False where going there and
    back again does not end near the start, |f + b|^2 > 0.01 (|f|^2 + |b|^2) + 0.5, and where the flow leaves
    the picture.

    Args:
        forward: from `here` to `there`, float32 [2, H, W].
        backward: from `there` to `here`, float32 [2, H, W].
        motion_boundaries: also False where the flow bends, |grad f|^2 > 0.01 |f|^2 + 0.002, as the metric
            E_warp wants it.

    Returns:
        bool [H, W].
    """
    returning = warp(backward, forward, interpolation="bilinear")
    lengths = _square(forward) + _square(returning)
    trusted = _square(forward + returning) <= CONSISTENCY_RELATIVE * lengths + CONSISTENCY_ABSOLUTE
    trusted &= _stays_inside(forward)
    if motion_boundaries:
        trusted &= _gradient(forward) <= BOUNDARY_RELATIVE * _square(forward) + BOUNDARY_ABSOLUTE
    return trusted


def likeness_mask(here: NDArray[np.uint8], there: NDArray[np.uint8], flow: Flow) -> NDArray[np.bool_]:
    """Say where `there`, moved along `flow`, has about the levels of `here`.

    A flow can agree both ways and be wrong all the same, as where a shadow falls or a lamp goes on.

    Args:
        here: uint8 RGB [3, H, W].
        there: of the same shape.
        flow: from `here` to `there`, float32 [2, H, W].

    Returns:
        bool [H, W].
    """
    import cv2

    mine, other = (picture.astype(np.float32).mean(axis=0) for picture in (here, there))
    change = mine - warp(other, flow, interpolation="bilinear")
    smooth = cv2.blur(change, (LIKENESS_WINDOW, LIKENESS_WINDOW))
    return np.asarray(np.abs(smooth) <= LIKENESS_LEVELS)


def trusted_share(trusted: NDArray[np.bool_], block: int, *, side: int) -> NDArray[np.float32]:
    """Return which share of each block of `block` pixels is trusted, [rows, columns].

    Args:
        trusted: of a mask above, [H, W].
        block: pixels on each side.
        side: the right and lower edges are repeated to multiples of this, which is one of `block`.
    """
    import cv2

    height, width = trusted.shape
    missing = ((0, -height % side), (0, -width % side))
    whole = np.pad(trusted.astype(np.float32), missing, mode="edge")
    size = (whole.shape[1] // block, whole.shape[0] // block)
    return cast(NDArray[np.float32], cv2.resize(whole, size, interpolation=cv2.INTER_AREA))


def fading_trust(trusted: NDArray[np.bool_], window: int) -> NDArray[np.float32]:
    """Return 1 deep inside of what is trusted, [H, W], falling to 0 where it ends.

    A trusted pixel has the trusted share of the `window` x `window` pixels around it, `window` odd.
    """
    import cv2

    mask = trusted.astype(np.float32)
    around = cv2.blur(mask, (window, window), borderType=cv2.BORDER_REPLICATE)
    return cast(NDArray[np.float32], mask * around)


def enlarge_flow(flow: Flow, scale: int) -> Flow:
    """Return the flow of pictures `scale` times as large, float32 [2, scale H, scale W]."""
    return resize_flow(flow, (flow.shape[1] * scale, flow.shape[2] * scale))


def resize_flow(flow: Flow, size: tuple[int, int]) -> Flow:
    """Return the flow of the same pictures at another size, (height, width): float32 [2, height, width].

    Larger ones are interpolated, smaller ones averaged.
    """
    import cv2

    factors = (size[1] / flow.shape[2], size[0] / flow.shape[1])
    method = cv2.INTER_AREA if max(factors) < 1 else cv2.INTER_LINEAR
    planes = [
        cv2.resize(plane, size[::-1], interpolation=method) * np.float32(factor)
        for plane, factor in zip(flow, factors, strict=True)
    ]
    return np.stack(planes).astype(np.float32)


def _gray(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return luma [H, W] (BT.601), padded to MIN_SIDE by repetition of its border."""
    import cv2

    if picture.ndim == 3:
        pixels = np.ascontiguousarray(picture.transpose(1, 2, 0))
        gray = cast(NDArray[np.uint8], cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    else:
        gray = np.ascontiguousarray(picture)
    missing = [(0, max(0, MIN_SIDE - side)) for side in gray.shape]
    return np.pad(gray, missing, mode="edge")


def _square(flow: Flow) -> NDArray[np.float32]:
    """Return the squared length of the vectors, [H, W]."""
    return cast(NDArray[np.float32], flow[0] ** 2 + flow[1] ** 2)


def _stays_inside(flow: Flow) -> NDArray[np.bool_]:
    height, width = flow.shape[1:]
    columns = np.arange(width, dtype=np.float32)[None, :] + flow[0]
    rows = np.arange(height, dtype=np.float32)[:, None] + flow[1]
    inside = (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1)
    return cast(NDArray[np.bool_], inside)


def _gradient(flow: Flow) -> NDArray[np.float32]:
    """Return the squared differences to the pixel before, of both components both ways, added up, [H, W]."""
    across = np.diff(flow, axis=2, prepend=flow[:, :, :1])
    down = np.diff(flow, axis=1, prepend=flow[:, :1])
    return cast(NDArray[np.float32], (across**2 + down**2).sum(axis=0))
