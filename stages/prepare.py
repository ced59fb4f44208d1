"""prepare: read a source into one checked table of photos, split without leakage."""

from pathlib import Path

import pandas as pd

from finprint.base.cli import Output, run
from finprint.base.files import atomic, write_metrics
from finprint.base.params import Seed, load_sections
from finprint.store.tables import BOXES, FINDINGS, PHOTOS, REJECTS, TRUTH, write_table
from finprint.survey.page import write_data_page
from finprint.survey.params import Prepare
from finprint.survey.prepare import summary, survey, tell
from finprint.survey.sample import draw_pod
from finprint.survey.sources import read_source


# fmt: off
def main(
    sample: Output, photos: Output, boxes: Output, truth: Output, queries: Output, rejects: Output, findings: Output,
    metrics: Output, page: Output,
) -> None:
# fmt: on
    params = load_sections(seed=Seed, prepare=Prepare)
    with atomic(sample) as draft:
        draft.mkdir()
        if params.prepare.source == "sample":
            draw_pod(draft, **params.prepare.sample.model_dump(), seed=params.seed)
    folder = sample if params.prepare.source == "sample" else Path(params.prepare.folder)
    source, decided = read_source(params.prepare, folder)
    done = survey(source, params.prepare, params.seed)
    paths, schemas = (photos, boxes, truth, rejects, findings), (PHOTOS, BOXES, TRUTH, REJECTS, FINDINGS)
    for path, schema in zip(paths, schemas, strict=True):
        write_table(path, getattr(done, schema.name), schema)
    with atomic(queries) as draft:
        pd.DataFrame({"image": done.queries}).to_csv(draft, index=False, lineterminator="\n")
    write_metrics(metrics, summary(done) | {"decisions": decided, "boxes_of": source.counts})
    with atomic(page) as draft:
        write_data_page(draft, done, source.paths(), source.counts)
    tell(done, rejects, page)


if __name__ == "__main__":
    run(main)
