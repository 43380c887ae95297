"""Where networks run, and in which number format."""

from typing import Literal

import torch

from vidsr.errors import MachineError

Device = Literal["cpu", "cuda"]
DType = Literal["float32", "bfloat16", "float16"]

TORCH_DTYPES: dict[DType, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def resolve_device(wanted: Literal["auto", "cpu", "cuda"]) -> Device:
    """Return the device to use.

    Raises:
        MachineError: CUDA is asked for and there is none.
    """
    has_cuda = torch.cuda.is_available()
    if wanted == "cuda" and not has_cuda:
        msg = "device cuda: this torch sees no CUDA device; take --device cpu"
        raise MachineError(msg)
    return "cuda" if has_cuda and wanted != "cpu" else "cpu"


def has_fast_bfloat16(device: str) -> bool:
    """Say whether bfloat16 is faster than float32 there: twice on AVX512-BF16, four times and more on AMX."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def best_dtype(device: Device) -> Literal["float32", "bfloat16"]:
    """Return bfloat16 where the device is faster in it, float32 elsewhere."""
    return "bfloat16" if has_fast_bfloat16(device) else "float32"


def large_model_dtype(device: Device) -> DType:
    """Return what a model of billions of weights runs in: half precision where the device is fast in it."""
    if device == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return "float16"
    return best_dtype(device)
