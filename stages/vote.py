"""vote: the models' probabilities of classes as one answer."""

from dataclasses import dataclass

import pandas as pd

from finprint.base.cli import Input, Output, run
from finprint.base.files import write_metrics
from finprint.base.params import load_sections
from finprint.classes.params import Classes, Guess, Vote
from finprint.classes.voting import submission, vote, write_submission
from finprint.store.guesses import read_guesses, write_guesses


@dataclass(frozen=True)
class Paths:
    guesses: Input
    queries: Input
    probabilities: Output
    answers: Output
    rules: Output
    metrics: Output


def main(paths: Paths) -> None:
    params = load_sections(classes=Classes, guess=Guess, vote=Vote)
    voted = vote([read_guesses(paths.guesses / name) for name in params.classes.models], params.vote)
    table, missing = submission(voted, pd.read_csv(paths.queries, dtype="string")["image"].tolist())
    if missing:
        print(f"{missing} photos to identify have no crop: they get the usual probabilities")
    write_guesses(paths.probabilities, voted.guesses)
    write_submission(paths.answers, table)
    voted.save(paths.rules, params.classes.models, params.guess)
    write_metrics(paths.metrics, voted.metrics())


if __name__ == "__main__":
    run(main)
