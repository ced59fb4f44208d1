"""train and fold: round 1, learn to tell individuals apart from the labelled photos."""

from collections.abc import Callable

from finprint.base.cli import Input, Output, run
from finprint.base.params import Positive, Seed, load_sections
from finprint.engine.params import Engine
from finprint.individuals.lessons import fingerprint
from finprint.individuals.params import Train
from finprint.individuals.rounds import round_checkpoint
from finprint.individuals.task import Individuals
from finprint.learning.recipe import Recipe
from finprint.learning.round import train_round, write_round
from finprint.pictures.shards import Crops
from finprint.store.tables import PHOTOS, read_table


def main(
    photos: Input, crops: Input, model: Output, metrics: Output, epochs: Output, fold: int | None = None
) -> Callable[[], None]:
    params = load_sections(seed=Seed, lr=Positive, train=Train, engine=Engine)
    table, stored = read_table(photos, PHOTOS), Crops(crops)
    seed, processes = params.seed + (fold or 0), params.engine.processes
    recipe = Recipe(params.train, params.train.epochs, params.lr, seed, processes)
    stage = "train" if fold is None else f"fold{fold}"
    checkpoint = round_checkpoint(stage, recipe, fingerprint(table, stored, apart=params.train.apart))
    trained = train_round(Individuals.of(table, stored, params.train, left_out=fold), stored, recipe, checkpoint)
    write_round(trained, model, epochs, metrics)
    return checkpoint.finish


if __name__ == "__main__":
    run(main)
