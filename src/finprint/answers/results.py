"""What a search writes: answers, rules, proposed new individuals, the gallery, and its metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pandas as pd

from finprint.answers.grouping import proposals
from finprint.answers.params import Search
from finprint.answers.rules import LEAST_ANIMALS, LEAST_INDIVIDUALS, TOO_FEW
from finprint.answers.search import Answers, out_of_fold, search
from finprint.answers.tables import ANSWERS, GALLERY, PROPOSED, write_sheet
from finprint.base.files import atomic
from finprint.engine.params import LOCAL, Engine
from finprint.matching.catalogue import Catalogue, build_catalogue
from finprint.matching.indexes import write_flat
from finprint.matching.ranking import expanded
from finprint.store.arrays import Selection
from finprint.store.tables import NEW, TEST, write_table
from finprint.store.vectors import Vectors

ROUND1, FOLDS = "round1", "folds"  # sub-folders: answers by round 1 alone, and out of fold
INDEX = "index.faiss"


@dataclass(frozen=True)
class Evidence:
    """What the photos are answered by.

    Attributes:
        rounds: vectors by round 1, round 2.
        folds: vectors by the model that left a fold out, by the fold.
        local_scores: of the second look, see `Catalogue`.
    """

    rounds: Sequence[Vectors]
    folds: Mapping[int, Vectors]
    local_scores: pd.DataFrame | None = None


@dataclass(frozen=True)
class Results:
    """All that the search stage writes.

    Attributes:
        catalogue: what was searched.
        answers: by all models together.
        round1: answers by round 1 alone, to tell what the second round adds.
        folds: table `ANSWERS` of the training photos of a fold, by the model that left it out.
        proposed: table `PROPOSED`.
        submission: table (image, predictions).
    """

    catalogue: Catalogue
    answers: Answers
    round1: Answers
    folds: dict[int, pd.DataFrame]
    proposed: pd.DataFrame
    submission: pd.DataFrame

    def write(self, folder: Path) -> None:
        """Write all into a folder, atomically."""
        with atomic(folder) as draft:
            draft.mkdir()
            _write_answers(draft, self.answers)
            _write_answers(draft / ROUND1, self.round1)
            (draft / FOLDS).mkdir()
            for fold, table in self.folds.items():
                write_table(draft / FOLDS / f"{fold}.parquet", table, ANSWERS)
            self.answers.rules.save(draft)
            write_table(draft / "new_individuals.csv", self.proposed, PROPOSED)
            write_sheet(draft / "submission.csv", self.submission)
            write_gallery(draft, self.catalogue, self.answers)


def search_all(
    photos: pd.DataFrame, evidence: Evidence, asked: list[str], params: Search, engine: Engine = LOCAL
) -> Results:
    """Answer with all models and the second look together, with round 1 alone, and each fold by the model without it.

    Args:
        photos: table `PHOTOS`.
        evidence: vectors and the second look.
        asked: the photos to identify, including those that could not be read.
        params: the section `search`.
        engine: where large galleries are searched; the answers are the same everywhere.
    """
    rounds, folds = evidence.rounds, evidence.folds
    catalogue = build_catalogue(photos, *rounds, *folds.values(), engine=engine)
    catalogue = replace(catalogue, local_scores=evidence.local_scores)
    answers = search(catalogue, params)
    return Results(
        catalogue,
        answers,
        search(build_catalogue(photos, rounds[0], engine=engine), params),
        {fold: out_of_fold(photos, vectors, fold, params, engine) for fold, vectors in folds.items()},
        propose(catalogue, answers),
        submission(answers.test, photos, asked),
    )


def _write_answers(folder: Path, answers: Answers) -> None:
    folder.mkdir(exist_ok=True)
    write_table(folder / "answers.parquet", answers.test, ANSWERS)
    write_table(folder / "validation.parquet", answers.validation, ANSWERS)


def propose(catalogue: Catalogue, answers: Answers) -> pd.DataFrame:
    """The test photos answered `new_individual`, grouped into proposed new individuals: table `PROPOSED`."""
    first = answers.test[answers.test["rank"] == 1]
    images = first.loc[first["identity"] == NEW, "query"].to_numpy()
    rows = pd.Series(np.arange(len(catalogue.photos)), catalogue.photos["image"]).loc[images].to_numpy()
    return proposals(images, catalogue.blend(answers.rules.shares)[rows], answers.rules.grouping.similarity)


def submission(answers: pd.DataFrame, photos: pd.DataFrame, queries: list[str]) -> pd.DataFrame:
    """The table (image, predictions) in the order of `queries`; each has an answer.

    A photo that could not be read is answered `new_individual` and the individuals of most photos.

    Args:
        answers: table `ANSWERS`.
        photos: table `PHOTOS`.
    """
    named = answers.sort_values(["query", "rank"]).groupby("query")["identity"].agg(" ".join)
    often = photos.loc[photos["split"] != TEST, "identity"].dropna().value_counts()
    fallback = [NEW, *sorted(often.index, key=lambda name: (-often[name], name))[:4]]
    predictions = [named.get(query, " ".join(fallback)) for query in queries]
    return pd.DataFrame({"image": queries, "predictions": predictions})


def write_gallery(folder: Path, catalogue: Catalogue, answers: Answers) -> None:
    """Write the gallery of the test photos: `index.faiss`, and `gallery.parquet` with the photo of each row.

    The index is the one that was searched; where that was one a species, it is a flat one.
    """
    rows, rules = catalogue.labelled, answers.rules
    if len(answers.galleries) == 1 and answers.galleries[0].compressed is not None:
        faiss.write_index(answers.galleries[0].compressed.cpu, str(folder / INDEX))
    elif len(rows):
        write_flat(folder / INDEX, expanded(Selection([catalogue.blend(rules.shares)], rows), rules.params.expand))
    write_table(folder / "gallery.parquet", catalogue.photos.iloc[rows], GALLERY)


def summary(results: Results) -> dict[str, Any]:
    """The content of metrics/search.json."""
    catalogue, answers = results.catalogue, results.answers
    rules, gallery, asked = answers.rules, catalogue.labelled, results.submission["image"]
    metrics: dict[str, Any] = {
        "threshold": rules.threshold.value,
        "fitted": int(rules.fitted),
        "too_few_animals_to_tell_new": int(rules.too_few),
        "gallery": len(gallery),
        "individuals": len(catalogue.names),
        "queries": len(asked),
        "answered_by_default": len(set(asked) - set(answers.test["query"])),
        "shares": {f"member{number}": share for number, share in enumerate(rules.shares, start=1)},
        "blend": rules.blend.weights,
        "judged_together": int(rules.together),
    }
    if rules.threshold.interval:
        metrics["threshold_low"], metrics["threshold_high"] = rules.threshold.interval
    if rules.by_species:
        metrics["threshold_by_species"] = rules.by_species
    if rules.calibration is not None:
        curves = {"new": rules.calibration.new, "known": rules.calibration.known}
        metrics["calibration_log_loss"] = rules.calibration.log_loss
        metrics["calibration_isotonic"] = {name: int(curve.kind == "isotonic") for name, curve in curves.items()}
    recalls = [one.recall for one in answers.galleries if not one.exact and one.recall is not None]
    if recalls:
        metrics["index_recall"] = min(recalls)
    metrics["proposed_individuals"] = results.proposed["proposed"].nunique()
    metrics["proposed_similarity"] = rules.grouping.similarity
    if rules.grouping.agreement is not None:
        metrics["proposed_rand_validation"] = rules.grouping.agreement
    return metrics


def remarks(answers: Answers) -> list[str]:
    """What a person should know of this search, a line each."""
    rules = answers.rules
    lines = []
    if rules.too_few:
        lines.append(
            f"{TOO_FEW}: this takes {LEAST_INDIVIDUALS} individuals in the catalogue, and in validation "
            f"{LEAST_ANIMALS} known and {LEAST_ANIMALS} new ones; the threshold is {rules.threshold.value:g}, and "
            "there are no probabilities"
        )
    first = answers.test[answers.test["rank"] == 1]
    if len(first) and not first["identity"].eq(NEW).any():
        lines.append(f"no photo is called new at this threshold ({rules.threshold.value:.3f}); see search.new")
    return lines
