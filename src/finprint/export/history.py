"""Capture histories: on which occasions each animal was seen, for mark-recapture."""

import numpy as np
import pandas as pd

from finprint.base.errors import UserError

PERIODS = {"day": "D", "month": "M", "year": "Y"}


def occasions(sightings: pd.DataFrame, by: str) -> pd.Series:
    """The occasion of each sighting, missing where its date is.

    Args:
        sightings: columns date, and any other.
        by: day, month or year of the date, or the name of a column.

    Raises:
        UserError: there is no such column, or no sighting has an occasion.
    """
    if by in PERIODS:
        days = sightings["date"].astype("string").str[:10]  # the local day, with or without a time zone behind it
        dates = pd.to_datetime(days, errors="coerce", format="ISO8601")
        told = dates.dt.to_period(PERIODS[by]).astype("string").where(dates.notna())
    elif by in sightings:
        told = sightings[by].astype("string")
    else:
        raise UserError(f"--occasion {by}: write {', '.join(PERIODS)}, or a column: {', '.join(sightings.columns)}")
    if told.isna().all():
        what = "a date" if by in PERIODS else f"a value in {by}"
        raise UserError(f"--occasion {by}: no sighting has {what}, so there is no capture history")
    return told


def histories(sightings: pd.DataFrame, occasion: pd.Series) -> pd.DataFrame:
    """(C, T) 0 or 1, whether each individual was seen on each occasion; sorted by name and by occasion.

    An occasion on which nobody was seen is no column, because no sighting tells of it.

    Args:
        sightings: column individual.
        occasion: of each sighting; those without one are left out.
    """
    seen = pd.crosstab(sightings["individual"], occasion).clip(upper=1)
    return seen.sort_index(axis=0).sort_index(axis=1).astype(int)


def inp(seen: pd.DataFrame) -> str:
    """The histories as MARK reads them: a comment with the name, the history, the frequency 1, a semicolon."""
    lines = []
    for name, row in zip(seen.index, seen.to_numpy(), strict=True):
        called = str(name).replace("*/", "* /")
        lines.append(f"/* {called} */ {''.join(map(str, row))} 1;")
    return "\n".join([f"/* occasions: {', '.join(map(str, seen.columns)).replace('*/', '* /')} */", *lines]) + "\n"


def capture_table(seen: pd.DataFrame) -> pd.DataFrame:
    """The histories as a table: individual, `ch` (the history as text, as RMark and marked call it), each occasion."""
    table = seen.rename(columns=str).reset_index()
    table.insert(1, "ch", ["".join(map(str, row)) for row in seen.to_numpy()])
    return table


def estimate(seen: np.ndarray) -> float:
    """How many animals there are, if none comes or goes and all are as easy to see.

    With two occasions Chapman's estimate (1951), with more Schnabel's (1938) in Chapman's form; NaN with one. It is
    never below the number of animals seen, as Schnabel's can be where some animals are easier to see than others.

    Args:
        seen: (C, T) 0 or 1.
    """
    if seen.shape[1] < 2:
        return float("nan")
    before = np.cumsum(seen, axis=1) - seen > 0  # seen on an earlier occasion
    caught, marked = seen.sum(axis=0), before.sum(axis=0)
    again = int((seen.astype(bool) & before).sum())
    if seen.shape[1] == 2:
        return float((caught[0] + 1) * (caught[1] + 1) / (again + 1) - 1)
    return max(float((caught * marked).sum() / (again + 1)), float(seen.any(axis=1).sum()))


def discovery(sightings: pd.DataFrame, occasion: pd.Series) -> pd.Series:
    """How many individuals have been seen up to each occasion."""
    first = occasion.groupby(sightings["individual"]).min().dropna()
    every = sorted(occasion.dropna().unique())
    return first.value_counts().reindex(every, fill_value=0).cumsum()
