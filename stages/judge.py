"""judge: how well classes are told."""

from dataclasses import dataclass

from finprint.base.cli import Input, Output, run
from finprint.base.files import write_csv, write_metrics
from finprint.base.params import Seed, load_sections
from finprint.classes.params import Judge
from finprint.classes.results import judge, told
from finprint.pictures.shards import Crops
from finprint.store.guesses import read_guesses
from finprint.store.tables import PHOTOS, TRUTH, read_table


@dataclass(frozen=True)
class Paths:
    of: str
    probabilities: Input
    photos: Input
    truth: Input
    crops: Input
    metrics: Output
    confusing: Output
    figures: Output
    page: Output


def main(paths: Paths) -> None:
    params = load_sections(seed=Seed, judge=Judge)
    truth = told(read_table(paths.photos, PHOTOS), read_table(paths.truth, TRUTH), paths.of)
    crops = Crops(paths.crops)
    results = judge(paths.of, read_guesses(paths.probabilities), truth, crops, params.judge, params.seed)
    write_metrics(paths.metrics, results.metrics)
    write_csv(paths.confusing, results.page.confusing)
    results.page.write_figures(paths.figures)
    results.page.write(paths.page, crops)


if __name__ == "__main__":
    run(main)
