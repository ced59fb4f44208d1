"""prepare: read a source into one checked table of photos, split without leakage."""

from pathlib import Path

import pandas as pd

from finprint.base.cli import Output, run
from finprint.base.files import atomic, write_metrics
from finprint.base.params import Seed, load_sections
from finprint.store.tables import BOXES, FINDINGS, PHOTOS, REJECTS, TRUTH, VALIDATION, write_table
from finprint.survey.page import write_data_page
from finprint.survey.params import Prepare
from finprint.survey.prepare import summary, survey
from finprint.survey.sample import draw_pod
from finprint.survey.sources import read_source


def main(
    sample: Output,
    photos: Output,
    boxes: Output,
    truth: Output,
    queries: Output,
    rejects: Output,
    findings: Output,
    metrics: Output,
    page: Output,
) -> None:
    params = load_sections(seed=Seed, prepare=Prepare)
    mine = params.prepare
    with atomic(sample) as part:
        part.mkdir()
        if mine.source == "sample":
            draw_pod(part, **mine.sample.model_dump(), seed=params.seed)
    source, decided = read_source(mine, sample if mine.source == "sample" else Path(mine.folder))
    found = survey(source, mine, params.seed)
    write_table(photos, found.photos, PHOTOS)
    write_table(boxes, found.boxes, BOXES)
    write_table(truth, found.truth, TRUTH)
    write_table(rejects, found.rejects, REJECTS)
    write_table(findings, found.findings, FINDINGS)
    with atomic(queries) as part:
        pd.DataFrame({"image": found.queries}).to_csv(part, index=False, lineterminator="\n")
    write_metrics(metrics, summary(found) | {"decisions": decided, "boxes_of": source.counts})
    with atomic(page) as part:
        named = pd.concat([source.labelled, source.queries])
        write_data_page(part, found, dict(zip(named["image"], named["path"], strict=True)), source.counts)
    if not (found.photos["split"] == VALIDATION).any():
        print("no photo validates: thresholds and probabilities cannot be fitted, search.new.default is used")
    if not len(found.queries):
        print("there is no photo to identify (docs/sources.md says where they lie)")
    if len(found.rejects):
        print(f"{len(found.rejects)} rejects, each with its reason in {rejects}")
    if len(found.findings):
        print(f"{len(found.findings)} things to look at: {page}")


if __name__ == "__main__":
    run(main)
