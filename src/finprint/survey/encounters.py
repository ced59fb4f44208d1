"""Encounters made of dates and places: photos that follow one another at one place, and which of them grow too long."""

from collections.abc import Callable, Iterator

import pandas as pd

from finprint.base.errors import UserError
from finprint.store.tables import TEST
from finprint.survey.dates import read_dates
from finprint.survey.hygiene import LONG_ENCOUNTER, Finding
from finprint.survey.params import Prepare

LONG = 12  # hours from which on an encounter is long
CROWD = 10  # animals that most photos show at one time, from which on this time tells nothing
MANY = 20  # photos of the catalogue that an encounter which holds half of it must have to be told


def times(photos: pd.DataFrame, params: Prepare, reject: Callable[[str, str], None]) -> pd.Series:
    """When each photo was taken: as the table says, else as the camera does; missing where neither knows.

    Args:
        photos: table (image, date, taken).
        params: the section `prepare`.
        reject: told the image and the reason of each date that cannot be read.

    Raises:
        UserError: the order of day and month cannot be told.
    """
    if not params.encounter_gap:  # then nothing is made of dates
        return pd.to_datetime(photos["taken"])
    return written(photos, params, reject).fillna(pd.to_datetime(photos["taken"]))


def seen(photos: pd.DataFrame, taken: pd.Series, params: Prepare) -> pd.Series:
    """When each photo was taken, for exports: as `times`, and as the table says even where no encounter is made of it.

    Args:
        photos: table (image, date).
        taken: what `times` gave.
        params: the section `prepare`.
    """
    if params.encounter_gap:
        return taken
    try:
        return written(photos, params, lambda image, reason: None).fillna(taken)
    except UserError as error:  # which day it was matters to no answer
        print(f"the table's dates do not reach exports: {error}")
        return taken


def written(photos: pd.DataFrame, params: Prepare, reject: Callable[[str, str], None]) -> pd.Series:
    """When each photo was taken, as the table says; missing where it does not, or cannot be read. As for `times`."""
    dated = photos[photos["date"].notna()]
    rows: dict[str, str] = {}
    for image, date in zip(dated["image"], dated["date"], strict=True):
        rows.setdefault(date, image)
    read = read_dates(rows, params.day_first)
    for image, date in zip(dated["image"], dated["date"], strict=True):
        if read[date].reason:
            reject(image, f"{date!r} {read[date].reason}")
    return pd.to_datetime(photos["date"].map(lambda date: read[date].when, na_action="ignore"))


def telling(taken: pd.Series, photos: pd.DataFrame) -> pd.Series:
    """Times that may tell encounters: without one that most photos have, of many animals, as a placeholder is.

    Args:
        taken: when, for each photo.
        photos: table (identity).
    """
    often = taken.value_counts()
    if not len(often) or often.iloc[0] <= often.sum() / 2:
        return taken
    shared = taken.eq(often.index[0])
    return taken.mask(shared) if photos.loc[shared, "identity"].nunique() >= CROWD else taken


def encounters(photos: pd.DataFrame, taken: pd.Series, gap: float) -> pd.Series:
    """The encounters, those missing made of times: photos that follow one another within `gap` minutes are of one.

    A date without a time stands for midnight, so that a day without times is one encounter. Another place is another
    encounter; a photo that tells no place is where the one before it was. An encounter made so is called by its first
    photo's date.

    Args:
        photos: table (encounter, location).
        taken: when, for each.
        gap: minutes; 0: none is made.
    """
    dated = taken[photos["encounter"].isna() & taken.notna()].sort_values(kind="stable")
    if not gap or not len(dated):
        return photos["encounter"]
    limit = pd.Timedelta(minutes=gap)
    chain = (dated.diff() > limit).cumsum()
    told = photos["location"][dated.index].groupby(chain)
    place = told.ffill().fillna(told.bfill()).fillna("").astype("string")
    late = dated.groupby(place.str.casefold()).diff() > limit
    number = place.str.casefold() + " " + late.groupby(place.str.casefold()).cumsum().astype("string")
    first = dated.groupby(number).transform("first").dt.strftime("%Y-%m-%d %H:%M:%S").astype("string")
    names = (first + " " + place.groupby(number).transform("first")).str.strip()
    return photos["encounter"].fillna(names)


def together(photos: pd.DataFrame, told: pd.Series) -> pd.Series:
    """(N,) what photos of one group have in common: their encounter; if it was made of times, also their animal.

    A day of photos may show all animals of a catalogue. If it were one group, none of its photos would be left for
    training beside those that validate.

    Args:
        photos: table (encounter, identity).
        told: (N,) bool, whether the source tells the encounter.
    """
    met = photos["encounter"]
    return met.where(told | met.isna(), (met + " " + photos["identity"].fillna("")).str.strip())


def long_encounters(photos: pd.DataFrame, taken: pd.Series, told: pd.Series, gap: float) -> Iterator[Finding]:
    """Encounters that last long, or hold half of the catalogue: too few groups are left for training and validation.

    Args:
        photos: table (encounter, split), the encounter as `together` gives it.
        taken: when, for each.
        told: (N,) bool, whether the source tells the encounter.
        gap: `prepare.encounter_gap`.
    """
    filed = photos["split"].ne(TEST)
    table = pd.DataFrame({"encounter": photos["encounter"], "taken": taken, "told": told})[filed]
    each = table.groupby("encounter").agg(
        count=("told", "size"), told=("told", "all"), first=("taken", "min"), last=("taken", "max")
    )
    each["hours"] = (each["last"] - each["first"]).dt.total_seconds() / 3600
    long = (each["hours"] >= LONG) | (each["count"] >= max(MANY, filed.sum() / 2))
    for encounter, row in each[long].iterrows():
        lasts = "" if pd.isna(row["hours"]) else f" and {row['hours']:.1f} hours"
        cure = f"make prepare.encounter_gap smaller ({gap:g} minutes), or tell encounters or places"
        if row["told"]:
            cure = "do the table's or folders' encounters mean meetings?"
        yield (LONG_ENCOUNTER, str(encounter), None, f"one encounter of {row['count']} photos{lasts}: {cure}")
