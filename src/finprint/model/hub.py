"""Backbones that others have published: on a hub, or in a folder that was brought from one."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download

from finprint.base.errors import UserError
from finprint.base.vision import timm

logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # a line for each time that it asks again
HUB, FOLDER = "hf-hub:", "local-dir:"  # timm's own words
CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # as hubs call them, the safer one first


@dataclass(frozen=True)
class Origin:
    """Where a backbone comes from.

    Attributes:
        architecture: timm's name of the network.
        weights: as for `create_backbone`; of a published model the path of their file.
        mean: (3,) and `std`, (3,), by which the views are normalised; None: as timm does for this network.
    """

    architecture: str
    weights: str
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None


def origin(name: str, weights: str, download: bool = True) -> Origin:
    """Find a backbone by its name in params.yaml: timm's, or that of a published model.

    Of a published model the small config.json is read, downloaded if it must be.

    Args:
        name: timm's name; `hf-hub:ORGANISATION/NAME`; or `local-dir:` and a folder with config.json and the weights.
        weights: as for `create_backbone`.
        download: fetch the weights from the hub; else they count as `none`.

    Raises:
        UserError: the hub cannot be reached, a file is missing, or config.json does not name a network of timm.
    """
    if not name.startswith((HUB, FOLDER)):
        return Origin(name, weights)
    if weights == "package":
        raise UserError(f"train.weights: {name} brings its own weights: write weights: hub")
    config = _config(name)
    # timm says architecture; MiewID and its like say model_name.
    architecture = config.get("architecture") or config.get("model_name")
    if not isinstance(architecture, str) or not timm.is_model(timm.models.split_model_name_tag(architecture)[0]):
        raise UserError(
            f"train.backbone: the {CONFIG} of {name} names no network of timm (architecture: {architecture}): write "
            "the network's name into train.backbone, and the path of the weights into train.weights"
        )
    own = config.get("pretrained_cfg") or config
    if weights == "hub":
        weights = str(_weights(name)) if download or name.startswith(FOLDER) else "none"
    return Origin(architecture, weights, own.get("mean"), own.get("std"))


def _config(name: str) -> dict[str, Any]:
    if name.startswith(HUB):
        path = _downloaded(name.removeprefix(HUB), [CONFIG])
    else:
        path = Path(name.removeprefix(FOLDER)) / CONFIG
        if not path.is_file():
            raise UserError(f"train.backbone: {path} is missing: it tells which network the folder holds")
    try:
        config = json.loads(path.read_text())
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise UserError(f"train.backbone: {path} is damaged: it is no JSON object")
    return config


def _weights(name: str) -> Path:
    if name.startswith(HUB):
        return _downloaded(name.removeprefix(HUB), WEIGHTS)
    folder = Path(name.removeprefix(FOLDER))
    there = [folder / file for file in WEIGHTS if (folder / file).is_file()]
    if not there:
        raise UserError(f"train.backbone: {folder} has no {WEIGHTS[0]} beside its {CONFIG}")
    return there[0]


def _downloaded(model: str, names: Sequence[str]) -> Path:
    """The first of these files that the hub has."""
    last: Exception | None = None
    for name in names:
        try:
            return Path(hf_hub_download(model, name))
        except (OSError, ValueError) as error:  # the hub's errors are one or the other
            last = error
    kind = type(last).__name__
    raise UserError(
        f"train.backbone: {names[0]} of {model} cannot be had from the hub ({kind}): download {CONFIG} and "
        f"{WEIGHTS[0]} on another machine into a folder such as models/hub/{model.rpartition('/')[2]}, and write "
        f"backbone: {FOLDER}models/hub/{model.rpartition('/')[2]}"
    )
