"""classify: learn to tell classes, without one fold."""

from collections.abc import Callable
from dataclasses import dataclass

from finprint.base.cli import Input, Output, run
from finprint.base.params import Seed, load_sections
from finprint.classes.imagined import beside_made
from finprint.classes.labels import labelled
from finprint.classes.params import Classes, Classify
from finprint.classes.training import class_checkpoint, class_recipe, train_model
from finprint.engine.params import Engine
from finprint.learning.round import write_round
from finprint.pictures.shards import Crops
from finprint.store.tables import PHOTOS, read_table


@dataclass(frozen=True)
class Paths:
    of: str
    fold: int
    member: str
    folds: int
    photos: Input
    crops: Input
    imagined: Input
    model: Output
    metrics: Output
    epochs: Output


def main(paths: Paths) -> Callable[[], None] | None:
    params = load_sections(seed=Seed, classes=Classes, classify=Classify, engine=Engine)
    crops, fold, member = Crops(paths.crops), paths.fold, paths.member
    told = labelled(read_table(paths.photos, PHOTOS), crops, paths.of, params.classes, paths.folds)
    labels, crops = beside_made(told, crops, paths.imagined)
    recipe = class_recipe(params.classify, member, fold, params.seed, params.engine.processes)
    checkpoint = class_checkpoint(f"{paths.of}{fold}{member}", recipe, labels.fingerprint(crops))
    write_round(train_model(labels, crops, recipe, fold, checkpoint), paths.model, paths.epochs, paths.metrics)
    return checkpoint.finish if checkpoint else None


if __name__ == "__main__":
    run(main)
