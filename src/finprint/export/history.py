"""Capture histories: on which occasions each animal was seen, for mark-recapture."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from finprint.base.errors import UserError

TITLES = ("occasion", "occasions", "date", "day", "month", "year")
WORD = re.compile(r"[0-9]+|[^0-9]+")
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


def read_occasions(file: Path, by: str) -> list[str]:
    """The occasions on which somebody was out, a line each; what stands behind a comma is passed over.

    Args:
        file: of text; its first line may be a title: occasion, or date.
        by: as for `occasions`: dates are made days, months or years, in their order.

    Raises:
        UserError: the file is missing or empty, or a line is no date.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise UserError(f"--occasions {file}: there is no such file of text") from None
    cells = [(number, line.partition(",")[0].strip()) for number, line in enumerate(lines, 1)]
    named = [(number, cell) for number, cell in cells if cell and not (number == 1 and cell.casefold() in TITLES)]
    if not named:
        raise UserError(f"--occasions {file}: it names no occasion")
    if by not in PERIODS:
        return list(dict.fromkeys(cell for _, cell in named))
    dates = pd.to_datetime(pd.Series([cell for _, cell in named]), errors="coerce", format="ISO8601")
    if dates.isna().any():
        number, cell = named[int(dates.isna().to_numpy().argmax())]
        raise UserError(f"--occasions {file} line {number}: {cell!r} is no date: write 2026-06-01, or 2026-06, or 2026")
    return sorted(dates.dt.to_period(PERIODS[by]).astype(str).unique())


def every_occasion(occasion: pd.Series, told: Sequence[str]) -> list[str]:
    """All occasions in their order: those told and those of sightings, which are sorted, behind or among them."""
    more = sorted(set(occasion.dropna()) - set(told), key=_natural)
    every = [*told, *more]
    return sorted(every, key=_natural) if sorted(told, key=_natural) == list(told) else every


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """By which `sighting 2` comes before `sighting 10`."""
    return [(not word.isdigit(), int(word) if word.isdigit() else 0, word) for word in WORD.findall(name)]


def histories(sightings: pd.DataFrame, occasion: pd.Series, every: Sequence[str]) -> pd.DataFrame:
    """(C, T) 0 or 1, whether each individual was seen on each occasion; sorted by name.

    Args:
        sightings: column individual.
        occasion: of each sighting; those without one are left out.
        every: all occasions in their order, those on which nobody was seen among them.
    """
    seen = pd.crosstab(sightings["individual"], occasion).clip(upper=1)
    return seen.sort_index(axis=0).reindex(columns=list(every), fill_value=0).astype(int)


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

    Occasions on which nobody was seen tell nothing. With two others Chapman's estimate (1951), with more Schnabel's
    (1938) in Chapman's form; NaN with one. It is never below the number of animals seen, as Schnabel's can be where
    some animals are easier to see than others.

    Args:
        seen: (C, T) 0 or 1.
    """
    seen = seen[:, seen.any(axis=0)]
    if seen.shape[1] < 2:
        return float("nan")
    before = np.cumsum(seen, axis=1) - seen > 0  # seen on an earlier occasion
    caught, marked = seen.sum(axis=0), before.sum(axis=0)
    again = int((seen.astype(bool) & before).sum())
    if seen.shape[1] == 2:
        return float((caught[0] + 1) * (caught[1] + 1) / (again + 1) - 1)
    return max(float((caught * marked).sum() / (again + 1)), float(seen.any(axis=1).sum()))


def discovery(sightings: pd.DataFrame, occasion: pd.Series, every: Sequence[str]) -> pd.Series:
    """How many individuals have been seen up to each occasion."""
    places = {name: place for place, name in enumerate(every)}
    first = occasion.dropna().map(places).groupby(sightings["individual"]).min()
    counts = first.value_counts().reindex(range(len(every)), fill_value=0).cumsum()
    return counts.set_axis(list(every)).astype(int)
