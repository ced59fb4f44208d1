"""guess: the probabilities that a model of classes gives to the photos that it has not learned from."""

from dataclasses import dataclass

from finprint.base.cli import Input, Output, run
from finprint.base.files import write_metrics
from finprint.base.params import load_sections
from finprint.classes.classifier import load_classifier
from finprint.classes.guesses import guess
from finprint.classes.labels import labelled
from finprint.classes.params import Classes, Classify, Guess
from finprint.pictures.shards import Crops
from finprint.store.guesses import write_guesses
from finprint.store.tables import PHOTOS, read_table


@dataclass(frozen=True)
class Paths:
    of: str
    fold: int
    member: str
    folds: int
    photos: Input
    crops: Input
    model: Input
    guesses: Output
    metrics: Output


def main(paths: Paths) -> None:
    params = load_sections(classes=Classes, classify=Classify, guess=Guess)
    crops = Crops(paths.crops)
    labels = labelled(read_table(paths.photos, PHOTOS), crops, paths.of, params.classes, paths.folds)
    section = params.classify.of_model(paths.member, paths.fold)
    views = params.guess.of_model(paths.member)
    guessed = guess(load_classifier(paths.model), labels, crops, paths.fold, views, section)
    write_guesses(paths.guesses, guessed)
    write_metrics(paths.metrics, {"photos": len(guessed.array), "classes": len(guessed.classes)})


if __name__ == "__main__":
    run(main)
