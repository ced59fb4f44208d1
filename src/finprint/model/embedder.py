"""The embedding model, and the folder it travels in: weights, configuration, names of the classes."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from finprint.base.errors import UserError
from finprint.base.files import atomic, read_json, write_json
from finprint.model.backbone import create_backbone
from finprint.model.fusion import FUSIONS, stages_of

WEIGHTS, CONFIG, CLASSES = "weights.safetensors", "config.json", "classes.json"


@dataclass(frozen=True)
class ModelConfig:
    """What it takes to build an `Embedder`.

    Attributes:
        backbone: timm's name of it.
        fusion: a name of `FUSIONS`.
        embedding: dimensions D of the vectors; 0: those of the fusion, with BatchNorm alone for a neck.
        image_size: px, the side of the square input.
        mirror: what the model has learned of a mirror image: it shows the `same` as the photo, or an `other`.
        cyclic: pool the four quarter turns of each photo: True by their mean, `rms` by their root mean square.
        padded: views keep the proportions of the crop (`views.plain_view`).
        mean: (3,) and `std`, (3,), by which views are normalised; None: those of timm for this backbone.
    """

    backbone: str
    fusion: str
    embedding: int
    image_size: int
    mirror: str = "same"
    cyclic: bool | str = False
    padded: bool = False
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None


class Embedder(nn.Module):
    """Backbone, fusion and neck: photos (N, 3, H, W), values 0 to 1, to vectors (N, D) of any length.

    The neck is BatchNorm, a linear layer and BatchNorm (Luo et al., Bag of tricks for person
    re-identification, 2019). The input is normalised here, with the mean and deviation that the backbone knows.
    """

    backbone: Any  # timm adds feature_info and pretrained_cfg to its modules
    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, config: ModelConfig, weights: str = "none") -> None:
        super().__init__()
        self.config = config
        self.backbone = create_backbone(config.backbone, weights, config.image_size, stages_of(config.fusion))
        channels = self.backbone.feature_info.channels()
        self.fusion: Any = FUSIONS[config.fusion](tuple(channels))
        layers: list[nn.Module] = [nn.BatchNorm1d(self.fusion.features)]
        if config.embedding:
            layers += [
                nn.Linear(self.fusion.features, config.embedding, bias=False),
                nn.BatchNorm1d(config.embedding),
            ]
        self.neck = nn.Sequential(*layers)
        normal = self.backbone.pretrained_cfg
        for name, own in (("mean", config.mean), ("std", config.std)):
            values = torch.tensor(own or normal[name], dtype=torch.float32)
            self.register_buffer(name, values.view(1, 3, 1, 1), persistent=False)

    def forward(self, photos: torch.Tensor) -> torch.Tensor:
        return self.neck(self.pooled(photos))

    @property
    def features(self) -> int:
        """Dimensions D of the vectors."""
        return self.config.embedding or int(self.fusion.features)

    def pooled(self, photos: torch.Tensor) -> torch.Tensor:
        """What the neck gets, (N, F) float32: the fused feature maps, pooled over the quarter turns if that is set."""
        if not self.config.cyclic:
            return self.fusion(*self.maps(photos)).float()
        turned = torch.cat([photos.rot90(quarter, (2, 3)) for quarter in range(4)])
        pooled = self.fusion(*self.maps(turned)).float().view(4, len(photos), -1)
        if self.config.cyclic == "rms":
            return pooled.square().mean(dim=0).clamp(min=1e-12).sqrt()
        return pooled.mean(dim=0)

    def maps(self, photos: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The feature maps of the backbone's last stages, such as (N, C3, H, W) and (N, C4, H/2, W/2)."""
        maps = self.backbone((photos - self.mean) / self.std)
        # Some transformers put the channels last.
        channels = self.backbone.feature_info.channels()
        return tuple(m if m.shape[1] == c else m.permute(0, 3, 1, 2) for m, c in zip(maps, channels, strict=True))

    def vectors(self, *maps: torch.Tensor) -> torch.Tensor:
        """Vectors (N, D) from the feature maps."""
        return self.neck(self.fusion(*maps).float())


def save_model(folder: Path, embedder: Embedder, head: nn.Module, classes: Sequence[str]) -> None:
    """Write a model folder, atomically; equal weights give equal bytes."""
    tensors = {f"embedder.{k}": v for k, v in embedder.state_dict().items()}
    tensors |= {f"head.{k}": v for k, v in head.state_dict().items()}
    with atomic(folder) as draft:
        draft.mkdir()
        save_file({k: v.detach().cpu().contiguous() for k, v in sorted(tensors.items())}, draft / WEIGHTS)
        write_json(draft / CONFIG, asdict(embedder.config))
        write_json(draft / CLASSES, list(classes))


def load_model(folder: Path) -> tuple[Embedder, dict[str, torch.Tensor], list[str]]:
    """Read a model folder.

    Returns:
        The embedder in evaluation mode, the state dict of its head, the names of its classes.

    Raises:
        UserError: a file of the folder is missing.
    """
    missing = [name for name in (WEIGHTS, CONFIG, CLASSES) if not (folder / name).is_file()]
    if missing:
        raise UserError(f"{folder} is no model: {missing[0]} is missing; `dvc repro` makes it")
    tensors = load_file(folder / WEIGHTS)
    embedder = Embedder(ModelConfig(**read_json(folder / CONFIG)))
    states = {
        name: {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}
        for name in ("embedder", "head")
    }
    embedder.load_state_dict(states["embedder"])
    return embedder.eval(), states["head"], read_json(folder / CLASSES)
