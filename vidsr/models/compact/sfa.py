"""Semantic-Fusion Attention (XPSR, ECCV 2024, section 3.3) at the size of the embedded model.

    x' = CA_f( CA_h(x, high), CA_l(x, low) )

Letters: B batch, T text tokens, L image tokens, C channels, N heads.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WINDOW = 16
"""Side of the windows that fusion is confined to on large pictures."""
WINDOW_ABOVE = 2000
"""Image tokens above which fusion is windowed: its cost grows with their square."""


class CrossAttention(nn.Module):
    """Multi-head attention of image tokens on a context. `dim` must divide by `num_heads`."""

    def __init__(self, dim: int, *, context_dim: int, num_heads: int) -> None:
        super().__init__()
        if dim % num_heads:
            msg = f"dim ({dim}) must be divisible by num_heads ({num_heads})"
            raise ValueError(msg)
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, dim, bias=False)
        self.key_value = nn.Linear(context_dim, 2 * dim, bias=False)
        self.out = nn.Linear(dim, dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, tokens: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return tokens [B, L, C] plus what they find in `context` [B, T, D], where `mask` [B, T] is true."""
        query = self._split(self.query(self.norm(tokens)))
        key, value = (self._split(half) for half in self.key_value(context).chunk(2, dim=-1))
        attn_mask = None if mask is None else mask[:, None, None, :]
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=attn_mask)
        out: Tensor = tokens + self.out(attended.transpose(1, 2).flatten(2))
        return out

    def _split(self, tokens: Tensor) -> Tensor:
        batch, length, dim = tokens.shape
        return tokens.reshape(batch, length, self.num_heads, dim // self.num_heads).transpose(1, 2)


class SemanticFusionAttention(nn.Module):
    """Attention on the high-level prior beside attention on the low-level prior, fused by a third."""

    def __init__(self, dim: int, *, text_dim: int, num_heads: int) -> None:
        super().__init__()
        self.high = CrossAttention(dim, context_dim=text_dim, num_heads=num_heads)
        self.low = CrossAttention(dim, context_dim=text_dim, num_heads=num_heads)
        self.fuse_norm = nn.LayerNorm(dim)
        self.fuse = CrossAttention(dim, context_dim=dim, num_heads=num_heads)
        self.mlp = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 3 * dim), nn.GELU(), nn.Linear(3 * dim, dim)
        )

    def forward(
        self, features: Tensor, high: Tensor, high_mask: Tensor, low: Tensor, low_mask: Tensor
    ) -> Tensor:
        """Map features [B, C, h, w] to the same shape, given both priors: tokens [B, T, D], masks [B, T]."""
        height, width = features.shape[2:]
        tokens = features.flatten(2).transpose(1, 2)  # [B, h*w, C]
        by_content = self.high(tokens, high, high_mask)
        by_degradation = self.fuse_norm(self.low(tokens, low, low_mask))
        if height * width > WINDOW_ABOVE:
            fused = self._fuse_in_windows(by_content, by_degradation, height, width)
        else:
            fused = self.fuse(by_content, by_degradation)
        fused = fused + self.mlp(fused)
        out: Tensor = fused.transpose(1, 2).reshape(features.shape)
        return out

    def _fuse_in_windows(self, query: Tensor, context: Tensor, height: int, width: int) -> Tensor:
        return from_windows(
            self.fuse(to_windows(query, height, width), to_windows(context, height, width)), height, width
        )


def to_windows(tokens: Tensor, height: int, width: int) -> Tensor:
    """Cut [B, h*w, C] into windows, [B*windows, WINDOW**2, C]; edges are repeated to whole windows."""
    grid = tokens.transpose(1, 2).reshape(tokens.shape[0], tokens.shape[2], height, width)
    bottom, right = -height % WINDOW, -width % WINDOW
    grid = F.pad(grid, (0, right, 0, bottom), mode="replicate")
    batch, channels, rows, columns = grid.shape
    grid = grid.reshape(batch, channels, rows // WINDOW, WINDOW, columns // WINDOW, WINDOW)
    return grid.permute(0, 2, 4, 3, 5, 1).reshape(-1, WINDOW * WINDOW, channels)


def from_windows(windows: Tensor, height: int, width: int) -> Tensor:
    """Undo `to_windows`: return [B, h*w, C]."""
    rows, columns = height + -height % WINDOW, width + -width % WINDOW
    channels = windows.shape[-1]
    grid = windows.reshape(-1, rows // WINDOW, columns // WINDOW, WINDOW, WINDOW, channels)
    grid = grid.permute(0, 1, 3, 2, 4, 5).reshape(-1, rows, columns, channels)
    return torch.flatten(grid[:, :height, :width], 1, 2)
