"""From the feature maps of a backbone's last stages to one vector: GeM concatenation, DOLG, or plain means."""

import torch
import torch.nn.functional as F
from torch import nn


class GeM(nn.Module):
    """Generalised-mean pooling with a fixed exponent: (N, C, H, W) to (N, C).

    Radenović et al., Fine-tuning CNN image retrieval with no human annotation, TPAMI 2018. The winner
    of Happywhale kept p = 3; training it did not help.
    """

    def __init__(self, p: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__()
        self.p = p
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        powered = x.float().clamp(min=self.eps) ** self.p  # float32: cubes overflow half precision
        return powered.mean(dim=(-2, -1)) ** (1 / self.p)


class GeMConcat(nn.Module):
    """Each stage through GeM, concatenated: (N, C3, H, W), (N, C4, H/2, W/2) to (N, C3 + C4)."""

    def __init__(self, channels: tuple[int, int]) -> None:
        super().__init__()
        self.pool = GeM()
        self.features = sum(channels)

    def forward(self, stage3: torch.Tensor, stage4: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.pool(stage3), self.pool(stage4)], dim=1)


class Average(nn.Module):
    """The mean of the last stage, what the others are compared with: (N, C3, H, W), (N, C4, H/2, W/2) to (N, C4)."""

    def __init__(self, channels: tuple[int, int]) -> None:
        super().__init__()
        self.features = channels[1]

    def forward(self, stage3: torch.Tensor, stage4: torch.Tensor) -> torch.Tensor:
        return stage4.mean(dim=(-2, -1))


class Means(nn.Module):
    """The mean of each stage, concatenated: (N, C2, H, W), (N, C3, H/2, W/2), (N, C4, H/4, W/4) to (N, C2 + C3 + C4).

    For a head on frozen features, which can leave out stages.
    """

    stages = 3

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.lengths = channels
        self.features = sum(channels)

    def forward(self, *stages: torch.Tensor) -> torch.Tensor:
        return torch.cat([stage.float().mean(dim=(-2, -1)) for stage in stages], dim=1)


class MultiAtrous(nn.Module):
    """Atrous 3 x 3 convolutions at several rates, a 1 x 1 one and image pooling: (N, C, H, W) to (N, D, H, W)."""

    def __init__(self, channels: int, width: int, rates: tuple[int, ...] = (6, 12, 18)) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [nn.Conv2d(channels, width, 1)]
            + [nn.Conv2d(channels, width, 3, padding=rate, dilation=rate) for rate in rates]
        )
        self.image = nn.Conv2d(channels, width, 1)
        self.fuse = nn.Conv2d(width * (len(rates) + 2), width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        image = self.image(x.mean(dim=(-2, -1), keepdim=True)).expand(-1, -1, *x.shape[-2:])
        return F.relu(self.fuse(torch.cat([*(branch(x) for branch in self.branches), image], dim=1)))


class DOLG(nn.Module):
    """Deep orthogonal local and global features: (N, C3, H, W), (N, C4, H/2, W/2) to (N, 2 D).

    Yang et al., DOLG: Single-stage image retrieval with deep orthogonal fusion of local and global
    features, ICCV 2021. Local vectors come from stage 3, weighted by a single-channel attention map; the
    global one from stage 4. Only what of a local vector is orthogonal to the global one is added.
    """

    def __init__(self, channels: tuple[int, int], width: int = 256) -> None:
        super().__init__()
        self.atrous = MultiAtrous(channels[0], width)
        self.norm = nn.Sequential(nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width))
        self.attention = nn.Sequential(nn.ReLU(), nn.Conv2d(width, 1, 1), nn.Softplus())
        self.pool = GeM()
        self.globally = nn.Linear(channels[1], width)
        self.features = 2 * width

    def forward(self, stage3: torch.Tensor, stage4: torch.Tensor) -> torch.Tensor:
        local = self.norm(self.atrous(stage3))  # (N, D, H, W)
        local = F.normalize(local, dim=1) * self.attention(local)
        vector = self.globally(self.pool(stage4))  # (N, D)
        rest = orthogonal(local, vector).mean(dim=(-2, -1))  # a plain mean: the rest has both signs
        return torch.cat([vector, rest], dim=1)


def orthogonal(local: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """Each local vector less its projection on the global one: f - (f . g / |g|^2) g.

    Args:
        local: (N, D, H, W).
        vector: (N, D).

    Returns:
        (N, D, H, W), float32, orthogonal to `vector` everywhere.
    """
    f, g = local.float(), vector.float()[:, :, None, None]
    along = (f * g).sum(dim=1, keepdim=True) / (g * g).sum(dim=1, keepdim=True).clamp(min=1e-12)
    return f - along * g


FUSIONS = {"gem": GeMConcat, "dolg": DOLG, "average": Average, "means": Means}


def stages_of(fusion: str) -> int:
    """How many of the backbone's last stages a fusion looks at."""
    return getattr(FUSIONS[fusion], "stages", 2)
