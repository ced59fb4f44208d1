"""ultralytics as this project uses it: without a network, and without running anything that a file says."""

import os
import pickle
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from finprint.base.device import repeatable
from finprint.base.errors import UserError
from finprint.base.files import cache

PLAIN = "from ultralytics import YOLO; YOLO('yolov5n.yaml').load('{name}').save('plain.pt')"


def load_yolo(source: Path | str, place: str) -> Any:
    """A YOLO that detects, from weights (.pt) or an architecture (.yaml, one of ultralytics' own or a file).

    A .pt file is a pickle, which can name functions to call. An architecture can hold expressions, which ultralytics
    would evaluate. Its restricted loading, used here, builds only known layers, tensors and plain values.

    Args:
        source: the file, or the name of an architecture of ultralytics' own.
        place: where the source was named, for the errors.

    Raises:
        UserError: it is missing, damaged, does not detect, or cannot be loaded without running code.
    """
    if not Path(source).is_file() and (Path(source).suffix != ".yaml" or Path(source).name != str(source)):
        raise UserError(f"{place}: {source} is not on disk (no stage downloads it; yolov5n.yaml trains from scratch)")
    try:
        yolo = ultralytics_yolo()(source, task="detect")
    except Exception as error:  # a damaged file makes ultralytics and pickle raise whatever comes
        raise UserError(f"{place}: {source}: {_reason(error, source)}") from None
    if yolo.task != "detect" or not {"names", "yaml"} <= vars(yolo.model).keys():
        raise UserError(f"{place}: {source} holds no network that detects")
    return yolo


def check_network(network: str) -> None:
    """Refuse a `detector.network` that cannot be trained, before any stage works.

    ultralytics takes seconds to import, so it is asked only about what is not one of its own architectures.

    Raises:
        UserError: as `load_yolo`.
    """
    package = find_spec("ultralytics")
    own = Path(package.origin).parent / "cfg" / "models" if package and package.origin else Path()
    without_scale = re.sub(r"(\d)[nslmx](?=\D*\.yaml$)", r"\1", network)  # yolov5n.yaml is yolov5.yaml at scale n
    if "/" in network or Path(network).is_file() or without_scale not in {path.name for path in own.rglob("*.yaml")}:
        load_yolo(network, "detector.network")


def _reason(error: Exception, source: Path | str) -> str:
    refused = re.search(r"GLOBAL ([\w.]+)", str(error.__cause__))
    if isinstance(error.__cause__, pickle.UnpicklingError) and refused:
        return (
            f"it asks for {refused[1]}, which is no known layer and could run anything, so it is not loaded. If you "
            "trust it, convert it to plain weights on a machine where it may run: "
            f'python -c "{PLAIN.format(name=source)}"'
        )
    if isinstance(error.__cause__, pickle.UnpicklingError):
        return "it is damaged, or no checkpoint of ultralytics"
    if isinstance(error, KeyError):
        return f"ultralytics has no layer {error}"
    reason = (str(error) or repr(error)).splitlines()[0].removeprefix("ERROR \u274c\ufe0f ")
    if "restricted model load" in str(error):  # its activation, or what it names as a layer
        reason += " Only layers of torch.nn and ultralytics with plain values are made, such as nn.SiLU()"
    return reason


def ultralytics_yolo() -> Any:
    """The class YOLO, imported with restricted loading on; telemetry, downloads and experiment trackers off.

    With its `dvc` setting on, ultralytics would rewrite the project's dvc.yaml in the middle of a run.

    Raises:
        UserError: this ultralytics cannot restrict what it loads.
    """
    home = cache() / "ultralytics"
    home.mkdir(parents=True, exist_ok=True)
    os.environ |= {"YOLO_CONFIG_DIR": str(home.resolve()), "YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    os.environ["ULTRALYTICS_SAFE_LOAD"] = "true"
    os.environ.setdefault("YOLO_VERBOSE", "false")
    from ultralytics import YOLO
    from ultralytics.nn import tasks
    from ultralytics.utils import SETTINGS, torch_utils

    if not getattr(tasks, "SAFE_LOAD", False):
        raise UserError("this version of ultralytics would run what a file of weights says: install a newer one")
    torch_utils.NUM_THREADS = torch.get_num_threads()  # on a CPU it would leave one core idle: of two, half the speed
    repeatable()

    trackers = ("clearml", "comet", "dvc", "hub", "mlflow", "neptune", "raytune", "tensorboard", "wandb")
    off = dict.fromkeys(("sync", *trackers), False)
    if any(SETTINGS.get(key) for key in off):
        SETTINGS.update({key: False for key in off if key in SETTINGS})
    return YOLO
