"""mine: name test photos that the first round is sure of, as pseudo-labels for the second."""

from finprint.cli import Place, run
from finprint.files import write_metrics
from finprint.mining import mine
from finprint.params import load_params
from finprint.tables import LABELS, PHOTOS, read_table, write_table
from finprint.vectors import catalogue, read_folds, read_vectors


def main(photos: Place, vectors: Place, folds: Place, labels: Place, metrics: Place) -> None:
    params = load_params()
    known = catalogue(read_table(photos, PHOTOS), read_vectors(vectors), *read_folds(folds, params.fold.left_out))
    mined = mine(known, params.mine)
    write_table(labels, mined.labels, LABELS)
    write_metrics(metrics, mined.numbers())
    if mined.bar > 1:
        print(f"no bar reaches a precision of {params.mine.precision} on validation: no pseudo-labels")


if __name__ == "__main__":
    run(main)
