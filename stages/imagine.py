"""imagine: make images of each class, for the model that leaves a fold out."""

from collections.abc import Callable
from dataclasses import dataclass

from finprint.base.cli import Input, Output, run
from finprint.base.files import write_metrics
from finprint.base.params import Seed, load_sections
from finprint.classes.imagining import Asked, imagine
from finprint.classes.labels import labelled
from finprint.classes.params import Classes, Imagine
from finprint.pictures.shards import Crops
from finprint.store.tables import PHOTOS, read_table


@dataclass(frozen=True)
class Paths:
    of: str
    fold: int
    folds: int
    photos: Input
    crops: Input
    imagined: Output
    metrics: Output


def main(paths: Paths) -> Callable[[], None] | None:
    params = load_sections(seed=Seed, classes=Classes, imagine=Imagine)
    crops = Crops(paths.crops)
    labels = labelled(read_table(paths.photos, PHOTOS), crops, paths.of, params.classes, paths.folds)
    asked = Asked(paths.of, paths.fold, params.imagine, params.seed + paths.fold)
    metrics, at_the_end = imagine(labels, crops, asked, paths.imagined)
    write_metrics(paths.metrics, metrics)
    return at_the_end


if __name__ == "__main__":
    run(main)
