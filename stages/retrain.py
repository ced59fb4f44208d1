"""retrain: round 2, learn again from the labelled photos and the pseudo-labels."""

from collections.abc import Callable

from finprint.base.cli import Input, Output, run
from finprint.base.params import Positive, Seed, load_sections
from finprint.individuals.lessons import fingerprint
from finprint.individuals.params import Mine, Retrain, Train
from finprint.individuals.rounds import Earlier, Later, later_checkpoints, later_rounds
from finprint.learning.round import write_round
from finprint.model.params import Embed
from finprint.pictures.shards import Crops
from finprint.store.tables import LABELS, PHOTOS, read_table


def main(
    photos: Input, crops: Input, labels: Input, start: Input, model: Output, metrics: Output, epochs: Output
) -> Callable[[], None]:
    params = load_sections(seed=Seed, lr=Positive, train=Train, embed=Embed, mine=Mine, retrain=Retrain)
    table, stored = read_table(photos, PHOTOS), Crops(crops)
    later = Later(params.seed, params.lr, params.train, params.embed, params.mine, params.retrain)
    checkpoints = later_checkpoints(later, fingerprint(table, stored), [crops, labels, start])
    before = Earlier(start, read_table(labels, LABELS))
    trained = later_rounds(table, stored, later, before, checkpoints)
    write_round(trained, model, epochs, metrics)
    return checkpoints[-1].finish


if __name__ == "__main__":
    run(main)
