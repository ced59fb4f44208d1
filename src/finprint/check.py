"""What can be known to be wrong before any stage works: keys, values, sections that contradict each other, files."""

from pathlib import Path

from finprint.base.errors import UserError
from finprint.base.params import PARAMS
from finprint.classes.params import PLAIN
from finprint.detector.loading import check_network
from finprint.engine.cluster import check_engine
from finprint.learning.finetuning import check_training
from finprint.learning.params import Training
from finprint.learning.round import check_model_folder
from finprint.model.backbone import check_backbone
from finprint.params import Params, load_params


def check_params(path: Path = PARAMS) -> Params:
    """Read all of params.yaml and look at what its values name: the backbone, weights, the detector's network.

    Raises:
        UserError: a key is unknown or missing, a value is out of range, two sections contradict each other, a file is
            missing, or it does not fit.
    """
    params = load_params(path)
    check_named(params)
    return params


def check_named(params: Params) -> None:
    """Look at what the values of well-formed params name.

    Raises:
        UserError: a file is missing, or it does not fit.
    """
    check_engine(params.engine)
    if params.detector.enabled:
        check_network(params.detector.network)
    _check_train(params.train)
    for member, section in params.class_models:
        try:
            _check_train(section)
        except UserError as error:
            told = str(error).replace("train.", "classify.").replace("models/round1", "models/classes/OF/FOLD-MEMBER")
            raise UserError(told if member == PLAIN else f"classify.members.{member}: {told}") from None


def _check_train(train: Training) -> None:
    """Refuse a backbone, weights or sizes that the stage would refuse after an hour of other stages' work."""
    weights = "none" if train.continue_from else train.weights  # which are not read then
    check_backbone(train.backbone, weights, train.image_size)
    check_training(train)
    if train.continue_from:
        check_model_folder(Path(train.continue_from))
