"""What a frozen backbone makes of the crops, computed once: a head then learns from it in seconds."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from finprint.base.code import code_of
from finprint.base.device import best_device
from finprint.base.files import atomic, cache, hold, intact, remove, seal, sha256_bytes, sha256_json
from finprint.base.progress import bar
from finprint.base.vision import timm
from finprint.learning.inputs import Epoch
from finprint.model.embedder import Embedder
from finprint.model.loading import batches, in_order, stacks, to_device
from finprint.model.views import plain_view
from finprint.pictures.shards import Crops

BATCH = 64  # crops a step
CODE = ("learning", "model", "pictures")  # the rooms that features depend on
KEPT = 4  # files for one folder of crops


class Features:
    """What a backbone makes of every crop and of its mirror image, in a file under .cache/features; they are `Inputs`.

    Each file holds the fused feature maps, or the maps themselves if the fusion learns. For each folder of crops those
    files are kept that were asked for last, `KEPT` of them: by several backbones or image sizes, whose models take
    turns. A damaged one is made anew.

    Args:
        embedder: whose backbone it is.
        crops: of N photos.
    """

    def __init__(self, embedder: Embedder, crops: Crops) -> None:
        together = [Crops(folder) for folder in crops.folders] if len(crops.folders) > 1 else [crops]
        each = [_of_folder(embedder, one, number) for number, one in enumerate(together)]
        self._array = each[0] if len(each) == 1 else np.concatenate(each)  # (N, 2, L) float16
        side = embedder.config.image_size
        self._shapes: list[tuple[int, ...]] = []  # of the feature maps; empty: what is kept is fused
        if not _fuses_alone(embedder):
            with torch.inference_mode():
                maps = embedder.eval().maps(torch.zeros(1, 3, side, side, device=embedder.mean.device))
            self._shapes = [tuple(stage.shape[1:]) for stage in maps]

    def of(self, row: int) -> np.ndarray:
        """(2, L) float16: the features of the crop in `row`, and of its mirror image."""
        return self._array[row]

    def batches(self, epoch: Epoch) -> Iterator[torch.Tensor]:
        """(B, L) float16 each: of plain views and mirror images."""
        return stacks(lambda item: self.of(int(epoch.rows[item]))[int(epoch.mirrored[item])], epoch.order)

    def to_device(self, batch: torch.Tensor, device: torch.device) -> torch.Tensor:
        """The same values."""
        return batch.to(device, non_blocking=True).float()

    def embedded(self, embedder: Embedder, batch: torch.Tensor) -> torch.Tensor:
        """By what lies behind the embedder's backbone."""
        if not self._shapes:
            return embedder.neck(batch)
        lengths = [int(np.prod(shape)) for shape in self._shapes]
        flat = torch.tensor_split(batch, np.cumsum(lengths)[:-1].tolist(), dim=1)
        return embedder.vectors(*(maps.reshape(-1, *shape) for maps, shape in zip(flat, self._shapes, strict=True)))

    def both(self, rows: np.ndarray) -> np.ndarray:
        """(N, 2, L) float32: the features of the crops in `rows`, and of their mirror images."""
        return self._array[rows].astype(np.float32)

    @torch.inference_mode()
    def vectors(self, embedder: Embedder, rows: np.ndarray) -> np.ndarray:
        """By what lies behind the embedder's backbone, in float32."""
        embedder.eval()
        device = best_device()
        chunks = (torch.from_numpy(self._array[rows[items], 0]) for items in in_order(len(rows), 8 * BATCH))
        vectors = (self.embedded(embedder, self.to_device(chunk, device)) for chunk in chunks)
        return torch.cat([F.normalize(each.float()) for each in vectors]).cpu().numpy()


def _of_folder(embedder: Embedder, crops: Crops, number: int) -> np.ndarray:
    """(N, 2, L) float16 of the crops in one folder, the `number`th of those that are looked at together."""
    home = cache() / "features"
    path = (home / str(number) if number else home) / f"{_key(embedder, crops)}.npy"
    with hold(path.with_name("lock"), "another run computes frozen features: waiting for its end"):
        if not intact(path):
            # Moved here, because what is moved in inference mode can never learn.
            _write(path, embedder.to(best_device()).to(memory_format=torch.channels_last).eval(), crops)
        path.touch()
        for other in sorted(path.parent.glob("*.npy"), key=lambda file: file.stat().st_mtime_ns)[:-KEPT]:
            remove(other)
        array: np.ndarray = np.load(path, mmap_mode="r")
        return array


def _key(embedder: Embedder, crops: Crops) -> str:
    """A hash of all that the features depend on."""
    tensors = embedder.backbone.state_dict().items()
    weights = [(name, sha256_bytes(tensor.cpu().numpy().tobytes())) for name, tensor in tensors]
    contents = [crops.digest(row) for row in range(len(crops))]
    config = embedder.config
    normal = [embedder.mean.tolist(), embedder.std.tolist()]
    asked = [config.backbone, config.image_size, config.fusion, config.cyclic, config.padded, normal]
    machine = [torch.__version__, timm.__version__, str(best_device())]
    return sha256_json([weights, contents, asked, machine, code_of(CODE)])[:16]


def _fuses_alone(embedder: Embedder) -> bool:
    """Does the fusion learn nothing, so that its output is as frozen as the backbone's?"""
    return not any(True for _ in embedder.fusion.parameters())


def _kept(embedder: Embedder, photos: torch.Tensor) -> torch.Tensor:
    """(N, L) float32: the fused feature maps, or the maps themselves where the fusion learns."""
    if _fuses_alone(embedder):
        return embedder.pooled(photos)
    return torch.cat([stage.float().flatten(1) for stage in embedder.maps(photos)], dim=1)


@torch.inference_mode()
def of_views(embedder: Embedder, views: torch.Tensor) -> np.ndarray:
    """(N, L) float16: what is kept of (N, 3, H, W) uint8 views, by an embedder in evaluation mode on this device."""
    device = best_device()
    with torch.autocast(device.type, torch.bfloat16):
        return _kept(embedder, to_device(views, device)).half().cpu().numpy()


def _write(path: Path, embedder: Embedder, crops: Crops) -> None:
    side, padded = embedder.config.image_size, embedder.config.padded
    orders = in_order(len(crops), BATCH)
    stream = batches(lambda row: plain_view(crops.pixels(row), side, padded), orders)
    with atomic(path) as draft, bar("frozen features", len(crops), "crop") as progress:
        array: np.ndarray | None = None
        for rows, views in zip(orders, stream, strict=True):
            for mirrored, shown in enumerate((views, views.flip(-1))):
                flat = of_views(embedder, shown)
                if array is None:
                    shape = (len(crops), 2, flat.shape[1])
                    array = np.lib.format.open_memmap(draft, mode="w+", dtype=np.float16, shape=shape)
                array[rows, mirrored] = flat
            progress.update(len(rows))
        del array  # it is written to the disk
        seal(draft)
