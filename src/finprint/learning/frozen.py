"""What a frozen backbone makes of the crops, computed once: a head then learns from it in seconds."""

from pathlib import Path

import numpy as np
import timm
import torch
import torch.nn.functional as F
from torch import nn

from finprint.base.code import code_of
from finprint.base.device import best_device
from finprint.base.files import atomic, cache, hold, remove, sha256_bytes, sha256_json
from finprint.base.progress import bar
from finprint.learning.params import Train
from finprint.model.embedder import Embedder
from finprint.model.loading import batches, in_order, to_device
from finprint.model.views import plain_view
from finprint.pictures.shards import Crops

BATCH = 64  # crops a step
CODE = ("learning", "model", "pictures")  # the rooms that features depend on


def is_frozen(train: Train) -> bool:
    """Does no part of the backbone learn, so that its features can be kept?"""
    return train.finetune.trainable == 0 and not train.cyclic


class FrozenEmbedder(nn.Module):
    """An embedder that begins behind its backbone: features (N, L) to vectors (N, D).

    Attributes:
        embedder: the whole; what of it learns, learns in place.
    """

    def __init__(self, embedder: Embedder) -> None:
        super().__init__()
        self.embedder = embedder
        side = embedder.config.image_size
        with torch.inference_mode():
            maps = embedder.eval().maps(torch.zeros(1, 3, side, side, device=embedder.mean.device))
        self.shapes = [tuple(stage.shape[1:]) for stage in maps]

    @property
    def backbone(self) -> nn.Module:
        """The network that does not learn; not a second time in the state."""
        return self.embedder.backbone

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        lengths = [int(np.prod(shape)) for shape in self.shapes]
        parts = torch.tensor_split(features, np.cumsum(lengths)[:-1].tolist(), dim=1)
        stage3, stage4 = (part.reshape(-1, *shape) for part, shape in zip(parts, self.shapes, strict=True))
        return self.embedder.vectors(stage3, stage4)


class Features:
    """The feature maps of every crop and of its mirror image, in a file under .cache/features.

    One file is kept: of the crops, the backbone with its weights, and the image size that were asked for last.

    Args:
        embedder: whose backbone it is.
        crops: of N photos.
    """

    def __init__(self, embedder: Embedder, crops: Crops) -> None:
        weights = [
            (name, sha256_bytes(t.cpu().numpy().tobytes())) for name, t in embedder.backbone.state_dict().items()
        ]
        contents = [sha256_bytes(crops.jpeg(row)) for row in range(len(crops))]
        device = best_device()
        config = [
            embedder.config.backbone,
            embedder.config.image_size,
            torch.__version__,
            timm.__version__,
            str(device),
        ]
        path = cache() / "features" / f"{sha256_json([weights, contents, config, code_of(CODE)])[:16]}.npy"
        with hold(path.with_name("lock"), "another run computes frozen features: waiting for its end"):
            if not path.exists():
                # Here, for what is moved in inference mode can never learn.
                _write(path, embedder.to(device).to(memory_format=torch.channels_last).eval(), crops)
                for other in path.parent.glob("*.npy"):
                    if other != path:
                        remove(other)
            self._array = np.load(path, mmap_mode="r")  # (N, 2, L) float16

    def __call__(self, row: int) -> np.ndarray:
        """(2, L) float16: of the crop in `row`, and of its mirror image."""
        return self._array[row]

    @torch.inference_mode()
    def vectors(self, embedder: FrozenEmbedder, rows: np.ndarray) -> np.ndarray:
        """(N, D) float32 unit vectors of the crops in `rows`, without mirror images."""
        embedder.eval()
        device = best_device()
        parts = [torch.from_numpy(self._array[rows[part], 0]).to(device) for part in in_order(len(rows), 8 * BATCH)]
        return torch.cat([F.normalize(embedder(part.float()).float()) for part in parts]).cpu().numpy()


@torch.inference_mode()
def _write(path: Path, embedder: Embedder, crops: Crops) -> None:
    device, side = best_device(), embedder.config.image_size
    orders = in_order(len(crops), BATCH)
    stream = batches(lambda row: plain_view(crops.pixels(row), side), orders)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as part, bar("frozen features", len(crops), "crop") as progress:
        array: np.ndarray | None = None
        for rows, views in zip(orders, stream, strict=True):
            for mirrored, shown in enumerate((views, views.flip(-1))):
                with torch.autocast(device.type, torch.bfloat16):
                    maps = embedder.maps(to_device(shown, device))
                flat = torch.cat([stage.float().flatten(1) for stage in maps], dim=1).half().cpu().numpy()
                if array is None:
                    shape = (len(crops), 2, flat.shape[1])
                    array = np.lib.format.open_memmap(part, mode="w+", dtype=np.float16, shape=shape)
                array[rows, mirrored] = flat
            progress.update(len(rows))
        del array  # written to the disk
