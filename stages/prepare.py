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
    mine = params.prepare
    with atomic(sample) as draft:
        draft.mkdir()
        if mine.source == "sample":
            draw_pod(draft, **mine.sample.model_dump(), seed=params.seed)
    source, decided = read_source(mine, sample if mine.source == "sample" else Path(mine.folder))
    done = survey(source, mine, params.seed)
    paths, schemas = (photos, boxes, truth, rejects, findings), (PHOTOS, BOXES, TRUTH, REJECTS, FINDINGS)
    for path, schema in zip(paths, schemas, strict=True):
        write_table(path, getattr(done, schema.name), schema)
    with atomic(queries) as draft:
        pd.DataFrame({"image": done.queries}).to_csv(draft, index=False, lineterminator="\n")
    write_metrics(metrics, summary(done) | {"decisions": decided, "boxes_of": source.counts})
    with atomic(page) as draft:
        named = pd.concat([source.labelled, source.queries])
        write_data_page(draft, done, dict(zip(named["image"], named["path"], strict=True)), source.counts)
    tell(done, rejects, page)


if __name__ == "__main__":
    run(main)
