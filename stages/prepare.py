"""prepare: read a source into one checked table of photos, split without leakage."""

from dataclasses import dataclass
from pathlib import Path

from finprint.base.cli import Input, Output, run
from finprint.base.files import write_metrics
from finprint.base.params import Seed, load_sections
from finprint.store.tables import BOXES, FINDINGS, PHOTOS, REJECTS, SIGHTINGS, TRUTH, write_table
from finprint.survey.page import write_data_page
from finprint.survey.params import Prepare
from finprint.survey.prepare import source_folder, summary, survey, tell, write_queries
from finprint.survey.sources import read_source


@dataclass(frozen=True)
class Paths:
    sample: Output
    photos: Output
    boxes: Output
    truth: Output
    queries: Output
    rejects: Output
    findings: Output
    metrics: Output
    page: Output
    sightings: Output = Path("data/sightings.parquet")
    decisions: Input = Path("data/decisions")


def main(paths: Paths) -> None:
    params = load_sections(seed=Seed, prepare=Prepare)
    folder = source_folder(params.prepare, paths.sample, params.seed)
    source, decided = read_source(params.prepare, folder, paths.decisions)
    done = survey(source, params.prepare, params.seed)
    for schema in (PHOTOS, SIGHTINGS, BOXES, TRUTH, REJECTS, FINDINGS):
        write_table(getattr(paths, schema.name), getattr(done, schema.name), schema)
    write_queries(paths.queries, done)
    write_metrics(paths.metrics, summary(done) | {"decisions": decided, "boxes_of": source.counts})
    write_data_page(paths.page, done, source.paths(), source.counts)
    tell(done, paths.rejects, paths.page)


if __name__ == "__main__":
    run(main)
