"""Sightings: whom each photo shows, when and where, and how that is known."""

from pathlib import Path

import pandas as pd

from finprint.answers.tables import ANSWERS, PROPOSED
from finprint.base.errors import UserError
from finprint.bundle.identified import DECISIONS, Identified
from finprint.store.decisions import LOG, Log, content, located
from finprint.store.replay import Replay
from finprint.store.tables import NEW, PHOTOS, SIGHTINGS, TEST, names_before, names_of, read_table
from finprint.survey.sources.decided import as_in_a_run

LATIN = r"[A-Z][a-z]+ [a-z]{3,}(?: [a-z]{3,})?"  # a genus and a species, perhaps a subspecies
LABELLED, CONFIRMED, ANSWERED = "labelled", "confirmed", "answered"
COLUMNS = [
    "image", "individual", "status", "probability", "date", "place", "latitude", "longitude", "encounter", "side",
    "species", "path",
]  # fmt: skip
DARWIN_CORE = {  # terms of https://dwc.tdwg.org/terms/, and where they come from
    "occurrenceID": "image", "eventDate": "date", "locality": "place", "eventID": "encounter",
    "organismID": "individual", "associatedMedia": "path", "decimalLatitude": "latitude",
    "decimalLongitude": "longitude",
}  # fmt: skip


def of_pipeline(data: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The sightings of a finished run.

    Args:
        data: its folder `data`.

    Returns:
        A table of `COLUMNS`, a row for each photo that shows somebody, and the table `ANSWERS` of those answered.

    Raises:
        UserError: the run has not come so far.
    """
    photos, answers = read_table(data / "photos.parquet", PHOTOS), read_table(data / "search/answers.parquet", ANSWERS)
    told = read_table(data / "sightings.parquet", SIGHTINGS)
    table = photos.merge(told, on="image", how="left").rename(columns={"viewpoint": "side"})
    proposed = read_table(data / "search/new_individuals.csv", PROPOSED)
    here = {content(sha256, image): image for image, sha256 in photos[["image", "sha256"]].itertuples(index=False)}
    lines = [as_in_a_run(one) for one in located(Log(data / "decisions" / LOG).read(), here)]
    replay = Replay.of_log(dict.fromkeys(photos["image"]) | names_before(photos, told), lines)
    gallery, asked = names_of(photos[photos["split"] != TEST]), photos.loc[photos["split"] == TEST, "image"]
    return _sightings(table, _of_today(answers, replay, gallery), proposed, (replay, set(asked)))


def of_identified(out: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The sightings of photos that `finprint identify` has named, with what people decided about them.

    Args:
        out: the folder that it wrote.

    Returns:
        As `of_pipeline`.

    Raises:
        UserError: it wrote nothing there, or it is damaged.
    """
    identified = Identified.load(out)
    table = identified.photos.rename(columns={"viewpoint": "side"})
    gallery, images = names_of(identified.gallery), identified.photos["image"]
    replay = Replay.of_log(gallery | dict.fromkeys(images), Log(out / DECISIONS).read())
    answers = _of_today(identified.answers, replay, gallery)
    return _sightings(table, answers, identified.proposed, (replay, set(images)))


def _of_today(answers: pd.DataFrame, replay: Replay, gallery: dict[str, str]) -> pd.DataFrame:
    """The answers with what their individuals are called now, who were called as the `gallery` has it."""
    now = replay.since(gallery)
    return answers.assign(identity=answers["identity"].map(lambda name: now.get(name) or replay.now(name)))


def _sightings(
    table: pd.DataFrame, answers: pd.DataFrame, proposed: pd.DataFrame, decided: tuple[Replay, set[str]]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The sightings, and the answers of those answered.

    Args:
        table: of photos.
        answers: table `ANSWERS`, with the names of today.
        proposed: table `PROPOSED`.
        decided: what stands of the log, and the photos that were to identify when the answers were made.
    """
    replay, asked = decided
    shows = table.assign(individual=table["image"].map(replay.shows))
    known, told = shows["individual"].notna(), shows["image"].isin(replay.told)
    named = shows[known].assign(probability=1.0)
    named["status"] = told[known].map({True: CONFIRMED, False: LABELLED})
    names = [f"{name}_proposed" if name in replay else name for name in proposed["proposed"]]
    unsure = [photo for photo, one in replay.settled.items() if one.action == "unsure"]
    left = shows["image"].isin(asked) & ~known & ~shows["image"].isin([*replay.unused, *unsure])
    answered = _answered(table[left], answers, proposed.assign(proposed=names))
    return _joined([named, answered]), answers[answers["query"].isin(answered["image"])]


def _answered(photos: pd.DataFrame, answers: pd.DataFrame, proposed: pd.DataFrame) -> pd.DataFrame:
    """The photos by their first answers; those called new bear the name of their proposed individual."""
    first = answers[answers["rank"] == 1].set_index("query")
    groups = proposed.set_index("image")["proposed"]
    table = photos[photos["image"].isin(first.index)]
    names = table["image"].map(first["identity"])
    names = names.mask(names == NEW, table["image"].map(groups).fillna(table["image"]))
    return table.assign(individual=names, status=ANSWERED, probability=table["image"].map(first["probability"]))


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    numbers = dict.fromkeys(("probability", "latitude", "longitude"), float)
    rows = pd.concat([table.reindex(columns=COLUMNS).astype(numbers) for table in tables if len(table)])
    if not len(rows):
        raise UserError("no photo shows anybody: there is nothing to export")
    return rows.sort_values("image", kind="stable", ignore_index=True)


def darwin_core(sightings: pd.DataFrame) -> pd.DataFrame:
    """The sightings in terms of Darwin Core, an Occurrence a row.

    `identificationVerificationStatus` tells names that people gave from answers; `identificationRemarks` says how a
    name is known, and the probability of an answer. A species like "Tursiops truncatus" or "Tursiops_truncatus" is a
    `scientificName`, any other a `vernacularName`.
    """
    table = pd.DataFrame({term: sightings[column] for term, column in DARWIN_CORE.items()})
    answered = sightings["status"].eq(ANSWERED)
    chances = (
        sightings["probability"]
        .map("probability {:.3f}".format)
        .where(sightings["probability"].notna(), "no probability")
    )
    species = sightings["species"].astype("string").str.replace("_", " ")
    latin = species.str.fullmatch(LATIN).fillna(False)
    return table.assign(
        scientificName=species.where(latin),
        vernacularName=species.mask(latin),
        basisOfRecord="HumanObservation",
        identificationVerificationStatus=answered.map({True: "unverified", False: "verified"}),
        identificationRemarks=chances.where(answered, sightings["status"]),
    )
