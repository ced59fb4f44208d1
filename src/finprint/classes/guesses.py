"""What a model of classes says of the photos that it has not learned from."""

import numpy as np

from finprint.base.errors import UserError
from finprint.classes.classifier import Classifier
from finprint.classes.extras import extras_of
from finprint.classes.labels import Labelled
from finprint.classes.params import Classify, Guess
from finprint.learning.finetuning import is_frozen
from finprint.learning.frozen import Features
from finprint.pictures.shards import Crops
from finprint.store.guesses import GUESSED, QUERY, Guesses
from finprint.store.tables import TEST, VALIDATION


def by_features(train: Classify, params: Guess) -> bool:
    """Are these the views that the features of a frozen backbone show? Quarter turns change nothing in cyclic ones."""
    return is_frozen(train) and (params.views == "mirror" or (params.views == "turns" and bool(train.cyclic)))


def guess(classifier: Classifier, labels: Labelled, crops: Crops, fold: int, params: Guess, train: Classify) -> Guesses:
    """The probabilities that the model without `fold` gives to all photos that it has not learned from.

    Args:
        classifier: the model.
        labels: which photos show what.
        crops: of these photos.
        fold: that the model left out.
        params: the views.
        train: the section that it was trained by: what a frozen backbone has made of the crops is not made again.

    Raises:
        UserError: the model tells other classes.
    """
    if classifier.classes != labels.classes:
        raise UserError("the model tells other classes than the photos show: run `dvc repro` for the stage classify")
    photos = labels.answers(fold)
    role = np.where(photos["label"].isna(), QUERY, np.where(photos["fold"] == fold, VALIDATION, TEST))
    rows = crops.rows(photos["image"])
    extras = extras_of(crops, train.extras)[rows]
    if by_features(train, params):
        array = classifier.from_features(Features(classifier.embedder, crops), rows, extras)
    else:
        array = classifier.probabilities(crops.pixels, rows, extras, params)
    return Guesses(photos.assign(role=role)[list(GUESSED.columns)].reset_index(drop=True), array, classifier.classes)
