"""Which number format a device is fast in."""

import torch
from torch import nn


def has_fast_bfloat16(device: str) -> bool:
    """Say whether bfloat16 is faster than float32 there: twice on AVX512-BF16, four times and more on AMX."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def cast_parameters(network: nn.Module, dtype: torch.dtype) -> None:
    """Bring what was learnt to `dtype`; constants such as transforms keep all their digits."""
    for parameter in network.parameters():
        parameter.data = parameter.data.to(dtype)
