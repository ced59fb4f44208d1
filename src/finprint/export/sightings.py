"""Sightings: whom each photo shows, when and where, and how that is known."""

from pathlib import Path

import pandas as pd

from finprint.answers.tables import ANSWERS, PROPOSED
from finprint.base.errors import UserError
from finprint.bundle.identified import DECISIONS, Identified
from finprint.store.decisions import LOG, OF_PHOTOS, Decision, Log, standing
from finprint.store.tables import NEW, PHOTOS, SIGHTINGS, TEST, read_table
from finprint.survey.names import whole_name

LATIN = r"[A-Z][a-z]+ [a-z]{3,}(?: [a-z]{3,})?"  # a genus and a species, perhaps a subspecies
LABELLED, CONFIRMED, ANSWERED = "labelled", "confirmed", "answered"
NAMING = ("confirm", "new", "relabel")  # decisions that name a photo
COLUMNS = ["image", "individual", "status", "probability", "date", "place", "encounter", "side", "species", "path"]
DARWIN_CORE = {  # terms of https://dwc.tdwg.org/terms/, and where they come from
    "occurrenceID": "image", "eventDate": "date", "locality": "place", "eventID": "encounter",
    "organismID": "individual", "associatedMedia": "path",
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
    log = standing(Log(data / "decisions" / LOG).read())
    return _sightings(table, answers, proposed, [_as_in_a_run(one) for one in log])


def _as_in_a_run(one: Decision) -> Decision:
    """The decision with the names that a run gives to individuals."""
    return one.model_copy(update={"to": whole_name(one.to), "individual": whole_name(one.individual)})


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
    table = table.assign(identity=pd.Series(pd.NA, table.index, dtype="string"), split=TEST)
    return _sightings(table, identified.answers, identified.proposed, standing(Log(out / DECISIONS).read()))


def _sightings(
    table: pd.DataFrame, answers: pd.DataFrame, proposed: pd.DataFrame, decided: list[Decision]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The sightings, and the answers of those answered.

    Args:
        table: of photos, with their identity and split. A run may have applied the decisions already, or not.
        answers: table `ANSWERS`.
        proposed: table `PROPOSED`.
        decided: what stands of a log.
    """
    called, asked = Called(decided), table["split"] == TEST
    of_photos = {one.photo: one for one in decided if one.action in OF_PHOTOS}
    named = {photo: called.now(one.to) for photo, one in of_photos.items() if one.action in NAMING and one.to}
    named |= {photo: one.to for one in decided if one.action == "split" for photo in one.every}
    out_of_use = [photo for photo, one in of_photos.items() if one.action in ("unusable", "drop")]
    doubtful = [photo for photo, one in of_photos.items() if one.action == "unsure"]
    nobody = [photo for photo, one in of_photos.items() if one.action == "relabel" and not one.to]
    confirmed = table[table["image"].isin(list(named))]
    confirmed = confirmed.assign(individual=confirmed["image"].map(named), status=CONFIRMED, probability=1.0)
    rest = ~table["image"].isin([*named, *out_of_use])
    labelled = table[rest & ~asked & table["identity"].notna() & ~table["image"].isin(nobody)]
    labelled = labelled.assign(individual=labelled["identity"].map(called.now), status=LABELLED, probability=1.0)
    answers = answers.assign(identity=answers["identity"].map(called.now))
    taken = {*answers["identity"], *labelled["individual"], *confirmed["individual"]}
    names = [f"{name}_proposed" if name in taken else name for name in proposed["proposed"]]
    answered = _answered(table[rest & asked & ~table["image"].isin(doubtful)], answers, proposed.assign(proposed=names))
    return _joined([confirmed, labelled, answered]), answers[answers["query"].isin(answered["image"])]


class Called:
    """What individuals are called after decisions to merge and to rename."""

    def __init__(self, decided: list[Decision]) -> None:
        self._now: dict[str, str] = {}
        for one in decided:
            if one.action in ("merge", "rename"):
                self._now = {before: one.to if now == one.individual else now for before, now in self._now.items()}
                self._now[one.individual] = one.to
                self._now.pop(one.to, None)  # a name that is given again means its new bearer

    def now(self, name: str) -> str:
        """The name of today."""
        return self._now.get(name, name)


def _answered(photos: pd.DataFrame, answers: pd.DataFrame, proposed: pd.DataFrame) -> pd.DataFrame:
    """The photos by their first answers; those called new bear the name of their proposed individual."""
    first = answers[answers["rank"] == 1].set_index("query")
    groups = proposed.set_index("image")["proposed"]
    table = photos[photos["image"].isin(first.index)]
    names = table["image"].map(first["identity"])
    names = names.mask(names == NEW, table["image"].map(groups).fillna(table["image"]))
    return table.assign(individual=names, status=ANSWERED, probability=table["image"].map(first["probability"]))


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    rows = pd.concat([table.reindex(columns=COLUMNS).astype({"probability": float}) for table in tables if len(table)])
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
