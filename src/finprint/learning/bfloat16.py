"""Training in bfloat16, on GPUs and on CPUs that compute in it.

PyTorch 2.15 is slow at two gradients of depthwise convolutions in bfloat16 on a CPU: by the maps where the stride is
not 1, and by the weights where the kernel is larger than 3 x 3. They cost more time than bfloat16 saves elsewhere. So
they are computed in other ways here, which are equal but for rounding, for kernels of up to 7 x 7.
`python bench/throughput.py` compares the speeds.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

Pair = list[int]  # of rows and columns
TILE = 3  # side of the largest kernel whose gradient is fast
KERNELS = (3, 5, 7)  # sides of the kernels that have been timed


@contextmanager
def in_bfloat16(device: torch.device, wanted: bool) -> Iterator[None]:
    """In the block networks go forward in bfloat16 if `wanted`; their weights stay float32.

    The backward pass may be outside of the block.
    """
    apart = _DepthwiseApart() if wanted and device.type == "cpu" else nullcontext()
    with torch.autocast(device.type, torch.bfloat16, enabled=wanted), apart:
        yield


class _Convolution(NamedTuple):
    """What a layer gives to `F.conv2d`."""

    maps: torch.Tensor
    weights: torch.Tensor
    bias: torch.Tensor | None
    stride: Any
    padding: Any
    dilation: Any
    groups: int

    @property
    def depthwise(self) -> bool:
        """Is it a depthwise one that `_Depthwise` can do?"""
        channels, _, height, width = self.weights.shape
        alone = self.maps.dim() == 4 and 1 < self.groups == channels == self.maps.shape[1]
        in_pairs = all(isinstance(one, tuple) for one in (self.stride, self.padding, self.dilation))
        return alone and height == width and height in KERNELS and in_pairs and self.dilation == (1, 1)

    def mapped(self) -> torch.Tensor:
        """Its result, whose gradients are those of `_Depthwise`."""
        mapped: torch.Tensor = _Depthwise.apply(self.maps, self.weights, list(self.stride), list(self.padding))
        return mapped if self.bias is None else mapped + self.bias.to(mapped.dtype)[:, None, None]


class _DepthwiseApart(TorchFunctionMode):
    """In the block depthwise convolutions have the gradients of `_Depthwise`."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        as_layers_do = func is F.conv2d and not kwargs and len(args) == len(_Convolution._fields)  # torch's and timm's
        if as_layers_do and torch.is_autocast_enabled("cpu"):
            convolution = _Convolution(*args)
            if convolution.depthwise:
                return convolution.mapped()
        return func(*args, **kwargs or {})


class _Depthwise(torch.autograd.Function):
    """A depthwise convolution in bfloat16 whose gradients a CPU computes fast."""

    @staticmethod
    def forward(ctx: Any, maps: torch.Tensor, weights: torch.Tensor, stride: Pair, padding: Pair) -> torch.Tensor:
        maps, weights = maps.to(torch.bfloat16), weights.to(torch.bfloat16)
        ctx.save_for_backward(maps, weights)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(maps, weights, None, stride, padding, 1, len(weights))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (maps, weights), (by_maps, by_weights, *_) = ctx.saved_tensors, ctx.needs_input_grad
        slope = slope.contiguous(memory_format=torch.channels_last)
        first = _by_maps(slope, maps, weights, ctx.stride, ctx.padding) if by_maps else None
        second = _by_weights(slope, maps, weights, ctx.stride, ctx.padding) if by_weights else None
        return first, second, None, None


def _by_maps(
    slope: torch.Tensor, maps: torch.Tensor, weights: torch.Tensor, stride: Pair, padding: Pair
) -> torch.Tensor:
    """(N, C, H, W) the gradient by the maps: in float32 where the stride is not 1."""
    if stride == [1, 1]:
        return _gradients(slope, maps, weights, stride, padding, [True, False, False])[0]
    shape = torch.empty_like(maps, dtype=torch.float32)  # this gradient depends on no value of the maps
    return _gradients(slope.float(), shape, weights.float(), stride, padding, [True, False, False])[0].to(maps.dtype)


def _by_weights(
    slope: torch.Tensor, maps: torch.Tensor, weights: torch.Tensor, stride: Pair, padding: Pair
) -> torch.Tensor:
    """(C, 1, K, K) float32, the gradient by the weights: that of a larger kernel is put together from kernels of 3 x 3,
    each over the part of the maps that it meets."""
    side = weights.shape[-1]
    if side == TILE:
        return _gradients(slope, maps, weights, stride, padding, [False, True, False])[1].float()
    rows, columns = padding
    maps = F.pad(maps, (columns, columns, rows, rows))
    height, width = (step * (length - 1) + TILE for step, length in zip(stride, slope.shape[2:], strict=True))
    tile, whole = weights.new_empty(len(weights), 1, TILE, TILE), torch.empty_like(weights, dtype=torch.float32)
    for top in range(0, side - 1, TILE - 1):
        for start in range(0, side - 1, TILE - 1):
            met = maps[:, :, top : top + height, start : start + width].contiguous(memory_format=torch.channels_last)
            part = _gradients(slope, met, tile, stride, [0, 0], [False, True, False])[1]
            whole[:, :, top : top + TILE, start : start + TILE] = part
    return whole


def _gradients(
    slope: torch.Tensor, maps: torch.Tensor, weights: torch.Tensor, stride: Pair, padding: Pair, wanted: list[bool]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """By maps, weights and bias, those that are wanted, by PyTorch."""
    return torch.ops.aten.convolution_backward(
        slope, maps, weights, None, stride, padding, [1, 1], False, [0, 0], len(weights), wanted
    )
