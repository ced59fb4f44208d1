"""retrain: round 2, learn again from the labelled photos and the pseudo-labels."""

from collections.abc import Callable
from dataclasses import dataclass

from finprint.base.cli import Input, Output, run
from finprint.base.params import Positive, Seed, load_sections
from finprint.engine.params import Engine
from finprint.individuals.params import Mine, Retrain, Train
from finprint.individuals.rounds import Earlier, Later, later_rounds, settled
from finprint.learning.round import write_round
from finprint.model.params import Embed
from finprint.pictures.shards import Crops
from finprint.store.tables import LABELS, PHOTOS, read_table


@dataclass(frozen=True)
class Paths:
    photos: Input
    crops: Input
    labels: Input
    start: Input
    model: Output
    metrics: Output
    epochs: Output


def main(paths: Paths) -> Callable[[], None]:
    params = load_sections(seed=Seed, lr=Positive, train=Train, embed=Embed, mine=Mine, retrain=Retrain, engine=Engine)
    table, crops = read_table(paths.photos, PHOTOS), Crops(paths.crops)
    later = Later(params.seed, params.lr, params.train, params.embed, params.mine, params.retrain, params.engine)
    before = Earlier(paths.start, read_table(paths.labels, LABELS))
    before, checkpoints = settled(table, crops, later, before, [paths.photos, paths.crops])
    trained = later_rounds(table, crops, later, before, checkpoints)
    write_round(trained, paths.model, paths.epochs, paths.metrics)
    return checkpoints[-1].finish


if __name__ == "__main__":
    run(main)
