"""prepare: read a source into one checked table of photos, split without leakage."""

from pathlib import Path

import pandas as pd

from finprint.cli import Place, run
from finprint.files import atomic, write_metrics
from finprint.params import load_params
from finprint.pod import draw_pod
from finprint.prepare import summary, survey
from finprint.sources import read_happywhale
from finprint.tables import BOXES, PHOTOS, REJECTS, TRUTH, VALIDATION, write_table


def main(
    sample: Place, photos: Place, boxes: Place, truth: Place, queries: Place, rejects: Place, metrics: Place
) -> None:
    params = load_params()
    mine = params.prepare
    with atomic(sample) as part:
        part.mkdir()
        if mine.source == "sample":
            draw_pod(part, **mine.sample.model_dump(), seed=params.seed)
    source = read_happywhale(sample if mine.source == "sample" else Path(mine.folder), mine.species_typos)
    found = survey(
        source,
        fold=mine.fold,
        folds=mine.folds,
        new_share=mine.new_share,
        duplicate_bits=mine.duplicate_bits,
        seed=params.seed,
    )
    write_table(photos, found.photos, PHOTOS)
    write_table(boxes, found.boxes, BOXES)
    write_table(truth, found.truth, TRUTH)
    write_table(rejects, found.rejects, REJECTS)
    with atomic(queries) as part:
        pd.DataFrame({"image": found.queries}).to_csv(part, index=False, lineterminator="\n")
    write_metrics(metrics, summary(found))
    if not (found.photos["split"] == VALIDATION).any():
        print("no photo validates: thresholds and probabilities cannot be fitted, search.new.default is used")
    if len(found.rejects):
        print(f"{len(found.rejects)} rejects, each with its reason in {rejects}")


if __name__ == "__main__":
    run(main)
