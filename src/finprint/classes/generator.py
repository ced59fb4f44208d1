"""A small generator of images of each class, the critic that it learns from, and what holds the critic back."""

from collections.abc import Callable

import torch
from torch import nn

FIRST = 4  # px, side of the smallest maps
Scores = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # images (N, 3, S, S), codes (N,) -> scores (N,)


class ClassNorm(nn.Module):
    """Batch norm with a gain and a bias for each class (Dumoulin et al., ICLR 2017).

    Args:
        channels: of the maps.
        classes: C.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = nn.Embedding(classes, channels)
        self.bias = nn.Embedding(classes, channels)
        nn.init.ones_(self.gain.weight)
        nn.init.zeros_(self.bias.weight)

    def forward(self, maps: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """(N, channels, H, W) maps of images of the classes `codes` (N,)."""
        normed: torch.Tensor = self.norm(maps)
        return self.gain(codes)[:, :, None, None] * normed + self.bias(codes)[:, :, None, None]


class Generator(nn.Module):
    """Noise (N, Z) and classes (N,) to images (N, 3, S, S) from -1 to 1, by maps whose side doubles from 4 px on
    (DCGAN: Radford et al., ICLR 2016).

    Args:
        classes: C.
        image_size: S, px, 4 times a power of two.
        channels: of the largest maps; smaller ones have more.
        noise: Z.
    """

    def __init__(self, classes: int, image_size: int, channels: int, noise: int) -> None:
        super().__init__()
        widths = _widths(image_size, channels)[::-1]
        self.first = nn.Linear(noise, widths[0] * FIRST**2)
        self.norms = nn.ModuleList(ClassNorm(width, classes) for width in widths)
        self.grow = nn.ModuleList(
            nn.ConvTranspose2d(width, after, 4, stride=2, padding=1)
            for width, after in zip(widths, [*widths[1:], 3], strict=True)
        )

    def forward(self, noise: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        maps = self.first(noise).view(len(noise), -1, FIRST, FIRST)
        for norm, grow in zip(self.norms, self.grow, strict=True):
            maps = grow(torch.relu(norm(maps, codes)))
        return torch.tanh(maps)


class Critic(nn.Module):
    """How real images (N, 3, S, S) look as ones of their classes (N,): scores (N,), of any size.

    The class enters by a projection (Miyato and Koyama, ICLR 2018). There is no batch norm, because the penalty is on
    each image's gradient alone.

    Args:
        classes, image_size, channels: as of `Generator`.
    """

    def __init__(self, classes: int, image_size: int, channels: int) -> None:
        super().__init__()
        widths = _widths(image_size, channels)
        self.shrink = nn.ModuleList(
            nn.Conv2d(before, width, 4, stride=2, padding=1)
            for before, width in zip([3, *widths[:-1]], widths, strict=True)
        )
        self.last = nn.Linear(widths[-1], 1)
        self.of_class = nn.Embedding(classes, widths[-1])
        nn.init.zeros_(self.of_class.weight)  # at first all classes are alike

    def forward(self, images: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        maps = images
        for shrink in self.shrink:
            maps = nn.functional.leaky_relu(shrink(maps), 0.2)
        features = maps.sum(dim=(2, 3))
        scores: torch.Tensor = self.last(features)[:, 0] + (self.of_class(codes) * features).sum(dim=1)
        return scores


def gradient_penalty(
    critic: Scores, real: torch.Tensor, made: torch.Tensor, codes: torch.Tensor, shares: torch.Tensor
) -> torch.Tensor:
    """The mean of (|g| - 1)^2, where g is the critic's gradient at a point between a real and a made image
    (WGAN-GP: Gulrajani et al., NeurIPS 2017).

    Args:
        critic: to be held back.
        real, made: (N, 3, S, S) images of the classes `codes` (N,).
        shares: (N,) of the real image in each point.
    """
    share = shares[:, None, None, None]
    between = (share * real + (1 - share) * made).detach().requires_grad_()
    (gradients,) = torch.autograd.grad(critic(between, codes).sum(), between, create_graph=True)
    return (torch.linalg.vector_norm(gradients.flatten(1), dim=1) - 1).square().mean()


def _widths(image_size: int, channels: int) -> list[int]:
    """Channels of the maps, the largest maps first."""
    return [channels * 2**halved for halved in range((image_size // FIRST).bit_length() - 1)]
