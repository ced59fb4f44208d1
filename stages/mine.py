"""mine: name test photos that the first round is sure of, as pseudo-labels for the second."""

from finprint.base.cli import Input, Output, run
from finprint.base.files import write_metrics
from finprint.base.params import load_sections
from finprint.engine.params import Engine
from finprint.individuals.mining import mine
from finprint.individuals.params import Mine
from finprint.matching.catalogue import build_catalogue
from finprint.matching.params import Fold
from finprint.store.tables import LABELS, PHOTOS, read_table, write_table
from finprint.store.vectors import read_folds, read_vectors


def main(photos: Input, vectors: Input, folds: Input, labels: Output, metrics: Output) -> None:
    params = load_sections(fold=Fold, mine=Mine, engine=Engine)
    members = [read_vectors(vectors), *read_folds(folds, params.fold.left_out).values()]
    mined = mine(build_catalogue(read_table(photos, PHOTOS), *members, engine=params.engine), params.mine)
    write_table(labels, mined.labels, LABELS)
    write_metrics(metrics, mined.metrics())
    if mined.bar > 1:
        print(f"no bar reaches a precision of {params.mine.precision} on validation: no pseudo-labels")


if __name__ == "__main__":
    run(main)
