"""Unit vectors of crops."""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval

from finprint.base.device import best_device
from finprint.base.files import sha256_path
from finprint.base.progress import bar
from finprint.base.vision import timm
from finprint.engine.mapping import mapped
from finprint.engine.params import LOCAL, Engine
from finprint.engine.work import Work
from finprint.model.embedder import Embedder, ModelConfig, load_model
from finprint.model.loading import batches, in_order, to_device
from finprint.model.params import Embed
from finprint.model.views import plain_view
from finprint.pictures.shards import Crops, StoredCrop
from finprint.store.vectors import Vectors

J = TypeVar("J")
Stream = Callable[[Sequence[J]], Iterator[np.ndarray]]  # jobs, each a crop, to their vectors (D,)
SAME = 1e-3  # unit vectors no farther apart are the same; those of rightly fused norms are 1e-5 apart


def embed(
    embedder: Embedder,
    pixels: Callable[[int], np.ndarray],
    rows: np.ndarray,
    params: Embed,
    quiet: bool = False,
) -> np.ndarray:
    """Embed crops.

    Args:
        embedder: the model; it is put on the best device, channels last, and into evaluation mode.
        pixels: gives the crop of a row, `(H, W, 3)` uint8.
        rows: (N,) row numbers.
        params: the section `embed`. With `mirror`, the mirror image is embedded as well. A model that has learned it as
            the same then gives the mean of the two vectors. A model that has learned it as another gives both, one
            behind the other, so that a cosine compares left with left and right with right. With `amp`, vectors agree
            with float32's to about 0.01.
        quiet: show no progress.

    Returns:
        (N, D) float32 unit vectors, in the order of `rows`.
    """
    vectors = vector_stream(embedder, pixels, params)(rows.tolist())
    return _stacked(bar("embedding", len(rows), "crop", vectors, quiet), len(rows), embedder, params)


def embed_crops(model: Path, crops: Crops, params: Embed, quiet: bool = False, engine: Engine = LOCAL) -> Vectors:
    """The vectors of all crops by the model in a folder, comparable with its classes' centres.

    Args:
        model: the folder.
        crops: to embed.
        params: the section `embed`.
        quiet: show no progress.
        engine: where the work is done; its result is the same everywhere.

    Raises:
        UserError: the folder is no model, a crop is damaged, or the engine cannot be used.
    """
    embedder, head, classes = load_model(model)
    work: Work[int, np.ndarray] = Work(
        here=lambda rows: vector_stream(embedder, crops.pixels, params)(rows),
        there=partial(opened, embedder.config, embedder.state_dict(), params),
        pack=lambda rows: [crops.stored(row) for row in rows],
        name=crops.image,
        batch=params.batch,
    )
    vectors = (vector for _, vector in mapped(work, range(len(crops)), engine, "embedding", "crop", quiet))
    array = _stacked(vectors, len(crops), embedder, params)
    names, heads = by_name(classes, centres(embedder, head, len(classes), params.mirror))
    return Vectors(crops.index["image"], array, sha256_path(model), names, heads)


def opened(config: ModelConfig, state: dict[str, torch.Tensor], params: Embed) -> Stream[StoredCrop]:
    """The stream of a worker elsewhere, from what is sent to it."""
    embedder = Embedder(config)
    embedder.load_state_dict(state)
    return vector_stream(embedder, StoredCrop.pixels, params)


@torch.inference_mode()
def vector_stream(embedder: Embedder, pixels: Callable[[J], np.ndarray], params: Embed) -> Stream[J]:
    """Make a model ready to embed: see `embed`, which this is for crops that come in sequences of jobs."""
    device = best_device()
    network = fused(embedder.to(device).to(memory_format=torch.channels_last).eval())
    config, apart = embedder.config, embedder.config.mirror == "other"

    @torch.inference_mode()
    def stream(jobs: Sequence[J]) -> Iterator[np.ndarray]:
        def view(item: int) -> np.ndarray:
            return plain_view(pixels(jobs[item]), config.image_size, config.padded)

        for views in batches(view, in_order(len(jobs), params.batch)):
            vectors = _unit(network, to_device(views, device), params.amp)
            if params.mirror:
                mirrored = _unit(network, to_device(views.flip(-1), device), params.amp)
                vectors = F.normalize(torch.hstack([vectors, mirrored]) if apart else vectors + mirrored)
            yield from vectors.cpu().numpy()

    return stream


def _stacked(vectors: Any, count: int, embedder: Embedder, params: Embed) -> np.ndarray:
    """(N, D), all vectors in one array that is never copied."""
    apart = params.mirror and embedder.config.mirror == "other"
    array = np.zeros((count, embedder.features * (1 + apart)), np.float32)
    for row, vector in enumerate(vectors):
        array[row] = vector
    return array


def centres(embedder: Embedder, head: dict[str, torch.Tensor], classes: int, mirror: bool) -> np.ndarray:
    """(C, S, D) float32 unit vectors: each class's sub-centres in the margin head, comparable with `embed`'s vectors.

    Args:
        head: state dict of the margin head.
        classes: C.
        mirror: as given to `embed`.
    """
    weight = F.normalize(head["weight"].float())
    if embedder.config.mirror == "same":
        return weight.view(classes, -1, weight.shape[1]).numpy()
    plain, mirrored = weight.view(2, classes, -1, weight.shape[1])  # (C, K, D) each
    if not mirror:
        return plain.numpy()
    count = plain.shape[1]  # every sub-centre beside every one of the mirror images
    pairs = torch.cat([plain.repeat_interleave(count, dim=1), mirrored.repeat(1, count, 1)], dim=2)
    return F.normalize(pairs, dim=2).numpy()


def by_name(classes: Sequence[str], heads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Classes that share a name become one, with the centres of all of them.

    Args:
        classes: names of the C classes; an individual whose viewpoints were learned apart stands there several times.
        heads: (C, S, D), their centres.

    Returns:
        (I,) names, sorted, and (I, T, D) centres. Where one has fewer than T, its centres are repeated.
    """
    names, codes, counts = np.unique(np.array(classes, object), return_inverse=True, return_counts=True)
    places = [np.resize(np.flatnonzero(codes == code), counts.max()) for code in range(len(names))]
    return names, heads[places].reshape(len(names), -1, heads.shape[2])


@torch.inference_mode()
def fused(embedder: Embedder) -> Embedder:
    """A copy of the model, in evaluation mode, with each BatchNorm fused into the convolution before it.

    It is faster, and its vectors agree to 1e-5. Which convolution a norm follows is read from the order in which
    modules hold them. Some networks call them in another order: then the vectors differ, and the model itself is
    returned.
    """
    twin = deepcopy(embedder)
    for parent in twin.modules():
        last, before = "", nn.Module()
        for name, child in list(parent.named_children()):
            if isinstance(before, nn.Conv2d) and isinstance(child, nn.BatchNorm2d) and _fit(before, child):
                setattr(parent, last, fuse_conv_bn_eval(before, child))
                setattr(parent, name, getattr(child, "act", nn.Identity()))  # timm's norms hold the activation, too
            last, before = name, child
    side = embedder.config.image_size
    photos = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0)).to(embedder.mean.device)
    with torch.backends.cudnn.flags(allow_tf32=False):
        apart = (_unit(twin, photos, amp=False) - _unit(embedder, photos, amp=False)).norm(dim=1).max()
    return twin if apart < SAME else embedder


def _fit(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> bool:
    """Can the norm be fused into the convolution?"""
    same = convolution.out_channels == norm.num_features and norm.running_mean is not None
    plain = (nn.Conv2d, timm.layers.Conv2dSame)  # others do more with their weights than multiply
    return same and type(convolution) in plain


def _unit(embedder: nn.Module, photos: torch.Tensor, amp: bool) -> torch.Tensor:
    with torch.autocast(photos.device.type, torch.bfloat16, enabled=amp):
        vectors = embedder(photos)
    return F.normalize(vectors.float())
