"""Training in bfloat16: the same gradients as in float32, but for rounding."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from finprint.base.vision import timm
from finprint.learning.bfloat16 import in_bfloat16

CPU = torch.device("cpu")


def rounded(*shape: int) -> torch.Tensor:
    """Numbers that bfloat16 can write, in the layout of a training."""
    values = torch.randn(*shape).to(torch.bfloat16).float()
    return values.to(memory_format=torch.channels_last) if len(shape) == 4 else values


def off(found: torch.Tensor, right: torch.Tensor) -> float:
    """The largest difference, as a share of the largest number."""
    return ((found.float() - right).abs().max() / right.abs().max()).item()


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 3), (1, 2)])
@pytest.mark.parametrize("padding", [(0, 0), (2, 2), (1, 2)])
@pytest.mark.parametrize("size", [(12, 12), (11, 17)])
def test_depthwise_gradients_are_those_of_float32(
    kernel: int, stride: tuple[int, int], padding: tuple[int, int], size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    maps, weights, bias = rounded(4, 6, *size), rounded(6, 1, kernel, kernel), rounded(6)
    leaves = [tensor.clone(memory_format=torch.preserve_format).requires_grad_() for tensor in (maps, weights, bias)]
    right = F.conv2d(*leaves, stride, padding, (1, 1), 6)
    slope = rounded(*right.shape)
    wanted = torch.autograd.grad(right, leaves, slope)
    with in_bfloat16(CPU, True):
        found = F.conv2d(*leaves, stride, padding, (1, 1), 6)
    assert found.dtype is torch.bfloat16
    assert off(found, right) < 0.01
    gradients = torch.autograd.grad(found, leaves, slope.to(torch.bfloat16))
    for mine, theirs in zip(gradients, wanted, strict=True):
        assert mine.dtype is torch.float32
        assert mine.shape == theirs.shape
        assert off(mine, theirs) < 0.01


def test_depthwise_layers_take_this_way() -> None:
    photos = torch.randn(2, 4, 9, 9)
    with in_bfloat16(CPU, True):
        mapped = nn.Conv2d(4, 4, 5, 2, 2, groups=4, bias=False)(photos)
    assert type(mapped.grad_fn).__name__ == "_DepthwiseBackward"


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 8, 3),
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 8, 3, groups=4),
        nn.Conv2d(4, 4, 2, groups=4),
        nn.Conv2d(4, 4, (3, 5), groups=4),
        nn.Conv2d(4, 4, 3, groups=4, dilation=2),
        nn.Conv2d(4, 4, 3, groups=4, padding="same"),
        nn.Conv2d(4, 4, 1, groups=4),
        nn.Conv2d(4, 4, 9, groups=4),
    ],
    ids=str,
)
def test_other_convolutions_stay_pytorchs(layer: nn.Conv2d) -> None:
    photos = torch.randn(2, 4, 9, 9)
    with in_bfloat16(CPU, True):
        mapped = layer(photos)
    assert type(mapped.grad_fn).__name__ != "_DepthwiseBackward"
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(mapped, layer(photos))


def test_a_photo_without_a_batch_stays_pytorchs() -> None:
    layer, photo = nn.Conv2d(4, 4, 3, groups=4), torch.randn(4, 4, 9)
    with in_bfloat16(CPU, True):
        mapped = layer(photo)
    assert type(mapped.grad_fn).__name__ != "_DepthwiseBackward"


def test_frozen_weights_get_no_gradient() -> None:
    layer = nn.Conv2d(4, 4, 5, 2, 2, groups=4, bias=False).requires_grad_(False)
    photos = torch.randn(2, 4, 9, 9, requires_grad=True)
    with in_bfloat16(CPU, True):
        layer(photos).sum().backward()
    assert layer.weight.grad is None
    assert photos.grad is not None


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "convnext_atto", "mobilenetv3_small_050"])
def test_a_network_has_the_gradients_of_autocast(name: str) -> None:
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=5).to(memory_format=torch.channels_last).eval()
    photos = torch.rand(4, 3, 64, 64).to(memory_format=torch.channels_last)

    def gradients() -> torch.Tensor:
        loss = F.cross_entropy(network(photos).float(), torch.arange(4))
        return torch.cat([one.flatten() for one in torch.autograd.grad(loss, list(network.parameters()))])

    with torch.autocast("cpu", torch.bfloat16):
        theirs = gradients()
    with in_bfloat16(CPU, True):
        ours = gradients()
    assert F.cosine_similarity(ours, theirs, dim=0) > 0.999


def test_without_it_all_is_float32() -> None:
    layer, photos = nn.Conv2d(4, 4, 3, groups=4), torch.randn(1, 4, 8, 8)
    with in_bfloat16(CPU, False):
        mapped = layer(photos)
    assert mapped.dtype is torch.float32
    assert torch.equal(mapped, layer(photos))


def test_float32_within_the_block_stays_float32() -> None:
    layer, photos = nn.Conv2d(4, 4, 3, groups=4), torch.randn(1, 4, 8, 8)
    with in_bfloat16(CPU, True), torch.autocast("cpu", enabled=False):
        mapped = layer(photos)
    assert mapped.dtype is torch.float32
    assert torch.equal(mapped, layer(photos))
