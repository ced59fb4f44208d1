"""From a source's own tables to one checked table of photos, and a table of what was rejected and why."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from finprint.base.errors import UserError
from finprint.base.files import atomic, write_csv
from finprint.base.words import counted
from finprint.store.tables import FINDINGS, TEST, TRAIN, VALIDATION
from finprint.survey.box_checks import check_boxes
from finprint.survey.degrees import MOST
from finprint.survey.encounters import MANY, encounters, long_encounters, seen, telling, times, together
from finprint.survey.hygiene import (
    COPY,
    COPY_TWO_NAMES,
    KINDS,
    LONG_ENCOUNTER,
    Finding,
    alike,
    copies,
    identities_alike,
    odd_sizes,
    species_alike,
)
from finprint.survey.names import whole_name
from finprint.survey.params import Prepare
from finprint.survey.readings import Reading, read_all
from finprint.survey.sample import draw_pod
from finprint.survey.sources.source import Source
from finprint.survey.splits import chains, group, group_keys, near_duplicates, validation_photos

Reject = tuple[str, str, str]  # a row of the table `REJECTS`


@dataclass(frozen=True)
class Survey:
    """What `prepare` knows of a source; the tables are those of `finprint.store.tables`."""

    photos: pd.DataFrame
    sightings: pd.DataFrame
    boxes: pd.DataFrame
    truth: pd.DataFrame
    rejects: pd.DataFrame
    findings: pd.DataFrame
    queries: list[str]  # every photo to identify, readable or not, in the order of the answers


def source_folder(params: Prepare, sample: Path, seed: int) -> Path:
    """Where the source lies; the sample is drawn into its folder, which is empty for every other source."""
    with atomic(sample) as draft:
        draft.mkdir()
        if params.source == "sample":
            draw_pod(draft, **params.sample.model_dump(), seed=seed)
    return sample if params.source == "sample" else Path(params.folder)


def survey(source: Source, params: Prepare, seed: int) -> Survey:
    """Check a source against its files, group what belongs together, and split it.

    Args:
        source: as its owner wrote it down.
        params: the section `prepare`.
        seed: of the splits.

    Raises:
        UserError: no photo can be used.
    """
    rejects: list[Reject] = [(name, "photos", why) for name, why in source.strays]
    photos = _readable(source, rejects)
    copied = list(copies(photos))
    photos = _drop_copies(photos, copied, partial(_reject, rejects, "labelled"))
    photos, findings = _grouped(photos, params, partial(_reject, rejects, "photos"))
    looked = (
        *identities_alike(source.labelled["identity"].dropna()),
        *species_alike(source.labelled["species"].dropna()),
        *odd_sizes(photos),
        *source.findings,
    )
    photos = _split(photos, params, seed)
    boxes = check_boxes(source.boxes, photos, partial(_reject, rejects, "boxes"))
    truth = source.truth.dropna().drop_duplicates("image")
    return Survey(
        photos=photos,
        sightings=_sightings(photos, source.before),
        boxes=boxes,
        truth=truth[truth["image"].isin(source.queries["image"])],
        rejects=pd.DataFrame(rejects, columns=["image", "table", "reason"], dtype="string"),
        findings=pd.DataFrame([*copied, *findings, *looked], columns=list(FINDINGS.columns)),
        queries=source.queries["image"].drop_duplicates().tolist(),
    )


def _sightings(photos: pd.DataFrame, before: dict[str, str] | None) -> pd.DataFrame:
    """When and where each photo was taken, a date without a time being a day; and whom it showed before the log."""
    when = photos["when"]
    days = when.dt.strftime("%Y-%m-%d")
    date = days.where(when.eq(when.dt.normalize()), when.dt.strftime("%Y-%m-%dT%H:%M:%S"))
    labelled = photos["identity"] if before is None else photos["image"].map(before).map(whole_name, na_action="ignore")
    told = photos[["image", "location", *MOST]].rename(columns={"location": "place"})
    return told.assign(date=date, labelled=labelled)


def _reject(rejects: list[Reject], table: str, image: str, reason: str) -> None:
    rejects.append((image, table, reason))


def _readable(source: Source, rejects: list[Reject]) -> pd.DataFrame:
    """The photos that can be used, with what their files say of them beside what the source does.

    Raises:
        UserError: there is none in the catalogue.
    """
    tables = {TRAIN: ("labelled", source.labelled), TEST: ("queries", source.queries)}
    single = [
        _one_row_a_photo(table, partial(_reject, rejects, name)).assign(split=split)
        for split, (name, table) in tables.items()
    ]
    photos = pd.concat(single, ignore_index=True)
    readings = _readings(photos["path"].tolist(), source.barred)
    for image, split, reading in zip(photos["image"], photos["split"], readings, strict=True):
        if reading.reason:
            _reject(rejects, tables[split][0], image, reading.reason)
    good = np.array([not reading.reason for reading in readings], dtype=bool)
    photos = photos[good].reset_index(drop=True)
    if not (photos["split"] == TRAIN).any():
        told = [reject for reject in rejects if reject[1] != "photos"] or rejects  # of a table, if there are any
        why = f"; the first of {counted(len(rejects), 'reject')}: {told[0][0]}: {told[0][2]}" if rejects else ""
        raise UserError(f"no usable photo in the catalogue{why}")
    kept = [reading for reading in readings if not reading.reason]
    return photos.assign(
        **{
            name: [getattr(reading, name) for reading in kept]
            for name in ("sha256", "width", "height", "bits", "taken")
        }
    )


def _readings(paths: list[str], barred: dict[str, str]) -> list[Reading]:
    """What the photos' files say; those that are barred are not opened."""
    opened = iter(read_all([Path(path) for path in paths if path not in barred]))
    return [Reading(barred[path]) if path in barred else next(opened) for path in paths]


def _grouped(
    photos: pd.DataFrame, params: Prepare, reject: Callable[[str, str], None]
) -> tuple[pd.DataFrame, list[Finding]]:
    """The photos with encounters, groups and their keys, and what looks wrong in these."""
    told = photos["encounter"].notna()
    taken = times(photos, params, reject)
    photos = photos.assign(encounter=encounters(photos, telling(taken, photos), params.encounter_gap))
    hashes = np.frombuffer(b"".join(photos["bits"]), np.uint8).reshape(len(photos), -1)
    near = near_duplicates(hashes, params.duplicate_bits)
    met = together(photos, told)
    photos["group"] = _groups(photos, [near, chains(photos["sha256"]), chains(met.where(told))], chains(met), params)
    photos["when"] = seen(photos, taken, params)
    ids = photos["encounter"].where(told)
    photos["key"] = group_keys(photos["group"].to_numpy(), photos["sha256"].to_numpy(str), taken, ids)
    long = long_encounters(photos.assign(encounter=met), taken, told, params.encounter_gap)
    return photos, [*alike(photos, near), *long]


def _groups(photos: pd.DataFrame, sure: list[np.ndarray], made: np.ndarray, params: Prepare) -> np.ndarray:
    """(N,) the groups of photos. Encounters that are made of dates join them, but for groups that would hold more than
    a fold of the named photos: if photos show several animals, chains of these can join a catalogue.

    Args:
        photos: table (identity).
        sure: (P, 2) each, pairs of photos that stay together in any case.
        made: (P, 2), pairs of photos of one encounter and animal.
        params: the section `prepare`.
    """
    apart = np.concatenate(sure)
    groups, parts = (group(len(photos), pairs) for pairs in (np.concatenate([apart, made]), apart))
    named = np.bincount(groups, photos["identity"].notna())
    large = named > max(MANY, named.sum() / params.folds)
    return np.unique(np.where(large[groups], parts + len(large), groups), return_inverse=True)[1].astype(np.int32)


def _split(photos: pd.DataFrame, params: Prepare, seed: int) -> pd.DataFrame:
    """The photos with their fold; those that validate are told in the column `split`."""
    named = photos["identity"].notna().to_numpy()
    # Missing names go first: with one among them, pandas' to_numpy(str) cuts every name to its first letter.
    identities = photos.loc[named, "identity"].to_numpy(str)
    keys = photos["key"].to_numpy(str)[named]
    validates, folds = validation_photos(keys, identities, params.fold, params.folds, params.new_share, seed)
    photos["fold"] = -1
    photos.loc[named, "fold"] = folds
    photos.loc[photos.index[named][validates], "split"] = VALIDATION
    # Photos without an identity teach the detector only. None does whose group shows somebody who validates.
    nameless = ~named & (photos["split"] == TRAIN)
    photos.loc[nameless & photos["key"].isin(set(keys[validates])), "split"] = VALIDATION
    return photos.drop(columns="key")


def write_queries(path: Path, survey: Survey) -> None:
    """Write every photo to identify, in the order of the answers, as a CSV."""
    write_csv(path, pd.DataFrame({"image": survey.queries}))


def summary(survey: Survey) -> dict[str, float]:
    """The counts of metrics/data.json."""
    photos, findings = survey.photos, survey.findings
    catalogue = set(photos.loc[photos["split"] == TRAIN, "identity"].dropna())
    validation = photos[photos["split"] == VALIDATION]
    each = photos.loc[photos["split"] != TEST, "identity"].value_counts()
    return {
        "photos": len(photos),
        "train": int((photos["split"] == TRAIN).sum()),
        "validation": len(validation),
        "validation_new_share": float((~validation["identity"].isin(catalogue)).mean()) if len(validation) else 0.0,
        "test": int((photos["split"] == TEST).sum()),
        "individuals": len(each),
        "singletons": int((each == 1).sum()),
        "species": photos["species"].nunique(),
        "encounters_and_duplicate_groups": int((photos["group"].value_counts() > 1).sum()),
        "boxes": int(survey.boxes["part"].notna().sum()),
        "rejects": len(survey.rejects),
        **{kind.replace(" ", "_"): int((findings["kind"] == kind).sum()) for kind in KINDS},
    }


def tell(survey: Survey, rejects: Path, page: Path) -> None:
    """Print what is worth a line on the terminal: one animal alone, no photo validates, none is to identify, and where
    to look."""
    named = survey.photos.loc[survey.photos["split"] != TEST, "identity"].dropna().unique()
    if len(named) == 1:
        print(
            f"the catalogue names one individual, {named[0]}: there is nobody to tell it from. Name at least one more"
        )
    long = survey.findings[survey.findings["kind"] == LONG_ENCOUNTER]
    if not (survey.photos["split"] == VALIDATION).any():
        print("no photo validates: thresholds and probabilities cannot be fitted, search.new.default is used")
        for name, why in long[["name", "detail"]].head(1).to_numpy():
            print(f"perhaps because of encounter {name}: {why}")
    if not len(survey.queries):
        print("there is no photo to identify (docs/sources.md says where they lie)")
    if len(survey.rejects):
        print(f"{counted(len(survey.rejects), 'reject')}, with the reason in {rejects}")
    if len(survey.findings):
        print(f"{counted(len(survey.findings), 'thing')} to look at: {page}")


def _one_row_a_photo(table: pd.DataFrame, reject: Callable[[str, str], None]) -> pd.DataFrame:
    """Drop repeated rows; a photo under two names is dropped altogether, for nobody knows which is right."""
    contradicted = set()
    for image, rows in table[table["image"].duplicated(keep=False)].groupby("image", sort=False):
        names = rows["identity"].dropna().unique().tolist()
        if len(names) > 1:
            contradicted.add(image)
            reject(str(image), f"labelled as {' and as '.join(names)}: keep one of the rows")
        else:
            reject(str(image), f"{len(rows)} rows for one photo: the first is used")
    return table[~table["image"].isin(contradicted)].drop_duplicates("image")


def _drop_copies(photos: pd.DataFrame, copied: list[Finding], reject: Callable[[str, str], None]) -> pd.DataFrame:
    """The photos without copies: of one individual's the first stays; of two individuals' none, for who is right?"""
    dropped: set[str] = set()
    for kind, image, first, names in copied:
        if kind == COPY:
            dropped.add(image)
            reject(image, f"the same photo as {first}, which is used")
        elif kind == COPY_TWO_NAMES:
            for one, other in ((str(first), image), (image, str(first))):
                if one not in dropped:
                    dropped.add(one)
                    reject(one, f"the same photo as {other}, labelled as {names}: say in decisions.csv which to drop")
    paths = photos.loc[photos["image"].isin(dropped), "path"]
    return photos[~photos["path"].isin(paths)].reset_index(drop=True)
