"""Which metrics there are, what computes each, and what those that cannot be computed need."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vidsr.errors import ConfigError, MissingWeightsError
from vidsr.evaluate.fid import Fid
from vidsr.evaluate.image import psnr, ssim
from vidsr.evaluate.metric import ClipMetric, PictureMetric, PictureScore, StepMetric, StepScore
from vidsr.files import sha256_of

JUDGES = ("MUSIQ", "MANIQA", "CLIP-IQA")
"""Networks that judge a picture by itself, and have a column also where their files are not there."""
FID = "FID"
LPIPS, DISTS, NIQE, VMAF = "LPIPS-Alex", "DISTS", "NIQE (basicsr parameters)", "VMAF"
WARP, WARP_OF_REFERENCE, TLPIPS, TOF = "E_warp x1000", "E_warp x1000 of reference", "tLPIPS x1000", "tOF"
FLICKER = "Flicker"
LPIPS_FILE, VGG_FILE, DISTS_FILE = "lpips_alex.safetensors", "vgg16.safetensors", "dists.safetensors"
NIQE_FILE = "niqe.safetensors"
_OURS = frozenset(
    {"PSNR-Y", "SSIM-Y", LPIPS, DISTS, VMAF, NIQE, WARP, WARP_OF_REFERENCE, TLPIPS, TOF, FLICKER}
)
_DIGITS = 12
"""Of a digest, in the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Metrics by the name they have in tables; None where what computes them is not there."""

    by_name: Mapping[str, PictureMetric | None] = field(default_factory=dict)
    """Of pictures and of the frames of clips, beside their reference."""
    clips: Mapping[str, ClipMetric | None] = field(default_factory=dict)
    """Of pictures and of clips as a whole, beside their reference."""
    alone: Mapping[str, PictureScore | None] = field(default_factory=dict)
    """Of pictures and of the frames of clips by themselves."""
    sets: Mapping[str, Fid | None] = field(default_factory=dict)
    """Of all pictures of a method, beside all of the reference."""
    steps: Mapping[str, StepMetric | None] = field(default_factory=dict)
    """Of clips only, beside their reference."""
    steps_alone: Mapping[str, StepScore | None] = field(default_factory=dict)
    """Of clips only, by themselves."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """What computes each, with backbone and version, or what it needs."""


def open_metrics(weights: Path | None, networks: Path | None = None) -> Metrics:
    """Return every metric that there is.

    Args:
        weights: folder of tools/fetch_metric_weights.py, for LPIPS, DISTS, tLPIPS and NIQE.
        networks: YAML of vidsr.evaluate.foreign, for MUSIQ, MANIQA, CLIP-IQA and FID.

    Raises:
        MissingWeightsError: there is no such folder, or no file that the YAML names.
        ConfigError, CheckpointError, MachineError: a file is not what it should be.
    """
    # OpenCV is imported only where something is measured.
    import cv2

    from vidsr.evaluate import temporal
    from vidsr.media import vmaf

    if weights is not None and not weights.is_dir():
        msg = f"{weights}: no such folder; make it with tools/fetch_metric_weights.py"
        raise MissingWeightsError(msg)
    judges, sets, stated = _foreign(networks)
    lpips, dists = _lpips(weights), _dists(weights)
    flow = f"DIS flow of OpenCV {cv2.__version__}"
    return Metrics(
        by_name={"PSNR-Y": psnr, "SSIM-Y": ssim, LPIPS: lpips, DISTS: dists},
        clips={VMAF: vmaf.vmaf if vmaf.has_vmaf() else None},
        alone={NIQE: _niqe(weights), **judges},
        sets=sets,
        steps={
            WARP: temporal.warp_error,
            WARP_OF_REFERENCE: temporal.reference_warp_error,
            TLPIPS: None if lpips is None else temporal.temporal_lpips(lpips),
            TOF: temporal.flow_difference,
        },
        steps_alone={FLICKER: temporal.flicker},
        sources={
            "PSNR-Y": "BT.601 luma, peak 255",
            "SSIM-Y": "BT.601 luma, Gaussian window of 11x11, sigma 1.5",
            LPIPS: _stated(weights, "LPIPS v0.1, AlexNet", LPIPS_FILE),
            DISTS: _stated(weights, "DISTS, VGG16", VGG_FILE, DISTS_FILE),
            VMAF: vmaf.vmaf_source() if vmaf.has_vmaf() else "needs an ffmpeg program with libvmaf",
            NIQE: _stated(weights, "parameters of basicsr 1.4.2, luma, blocks of 96x96", NIQE_FILE),
            **stated,
            WARP: f"{flow}, of the reference",
            WARP_OF_REFERENCE: f"{flow}, of the reference",
            TLPIPS: _stated(weights, "LPIPS v0.1, AlexNet", LPIPS_FILE),
            TOF: f"Farneback flow of OpenCV {cv2.__version__}",
            FLICKER: f"{flow}, of the result; 8-bit levels of BT.601 luma",
        },
    )


def _lpips(weights: Path | None) -> PictureMetric | None:
    if weights is None or not (weights / LPIPS_FILE).exists():
        return None
    # torch is imported only where a network measures.
    from vidsr.evaluate.networks import as_picture_metric
    from vidsr.models.lpips import Lpips

    return as_picture_metric(Lpips(weights / LPIPS_FILE))


def _dists(weights: Path | None) -> PictureMetric | None:
    if weights is None or not all((weights / name).exists() for name in (VGG_FILE, DISTS_FILE)):
        return None
    from vidsr.evaluate.dists import Dists
    from vidsr.evaluate.networks import as_picture_metric

    return as_picture_metric(Dists(vgg=weights / VGG_FILE, heads=weights / DISTS_FILE))


def _niqe(weights: Path | None) -> PictureScore | None:
    if weights is None or not (weights / NIQE_FILE).exists():
        return None
    from vidsr.evaluate.niqe import Niqe

    return Niqe(weights / NIQE_FILE)


def _stated(weights: Path | None, what: str, *names: str) -> str:
    """Return what is said of a metric with files of the weights folder: that they are missing, or which."""
    missing = [name for name in names if weights is None or not (weights / name).exists()]
    if weights is None or missing:
        return f"needs {' and '.join(missing)} in the folder of --weights"
    return "; ".join([what, *(f"{name} {sha256_of(weights / name)[:_DIGITS]}" for name in names)])


def _foreign(
    path: Path | None,
) -> tuple[dict[str, PictureScore | None], dict[str, Fid | None], dict[str, str]]:
    """Return the networks of the YAML at `path`: judges, FID, and what is said of them."""
    judges: dict[str, PictureScore | None] = dict.fromkeys(JUDGES)
    sets: dict[str, Fid | None] = {FID: None}
    stated = {name: f"needs a file that --networks names as {name}" for name in (*JUDGES, FID)}
    if path is None:
        return judges, sets, stated
    # torch is imported only where a network measures.
    from vidsr.evaluate import foreign

    for name, network in foreign.read_networks(path).items():
        if name == FID:
            sets[name] = foreign.open_fid(network)
        elif name in _OURS:
            msg = f"{path}: {name}: is a metric of vidsr's own; give the network another name"
            raise ConfigError(msg)
        else:
            judges[name] = foreign.open_score(network)
        stated[name] = network.stated
    return judges, sets, stated
