"""Capture histories against ones worked by hand, and numbers of animals against textbook formulas."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from finprint.base.errors import UserError
from finprint.export.history import (
    capture_table,
    discovery,
    estimate,
    every_occasion,
    histories,
    inp,
    occasions,
    read_occasions,
)


def _sightings() -> pd.DataFrame:
    rows = [
        ("a1", "Anna", "2026-05-01T10:00:00", "bay"),
        ("a2", "Anna", "2026-05-01T11:00:00", "bay"),
        ("a3", "Anna", "2026-07-09", "cape"),
        ("b1", "Bo", "2026-05-20", "bay"),
        ("b2", "Bo", "2026-06-02", "bay"),
        ("c1", "Cy */ x", "2026-07-09", "cape"),
        ("c2", "Cy */ x", None, None),
    ]
    return pd.DataFrame(rows, columns=["image", "individual", "date", "place"])


@pytest.mark.parametrize(
    ("by", "columns", "rows"),
    [
        ("day", ["2026-05-01", "2026-05-20", "2026-06-02", "2026-07-09"], ["1001", "0110", "0001"]),
        ("month", ["2026-05", "2026-06", "2026-07"], ["101", "110", "001"]),
        ("year", ["2026"], ["1", "1", "1"]),
        ("place", ["bay", "cape"], ["11", "10", "01"]),
    ],
)
def test_histories_by_hand(by: str, columns: list[str], rows: list[str]) -> None:
    sightings = _sightings()
    occasion = occasions(sightings, by)
    seen = histories(sightings, occasion, every_occasion(occasion, []))
    assert seen.columns.tolist() == columns
    assert ["".join(map(str, row)) for row in seen.to_numpy()] == rows
    assert seen.index.tolist() == ["Anna", "Bo", "Cy */ x"]
    assert inp(seen) == (
        f"/* occasions: {', '.join(columns)} */\n/* Anna */ {rows[0]} 1;\n/* Bo */ {rows[1]} 1;\n"
        f"/* Cy * / x */ {rows[2]} 1;\n"  # no name ends the comment
    )


def test_how_many_are_known_after_each_occasion() -> None:
    sightings = _sightings()
    occasion, every = occasions(sightings, "month"), ["2026-05", "2026-06", "2026-07"]
    assert discovery(sightings, occasion, every).to_dict() == {"2026-05": 2, "2026-06": 2, "2026-07": 3}
    more = ["2026-04", *every, "2026-08"]
    assert discovery(sightings, occasion, more).tolist() == [0, 2, 2, 3, 3]


def test_an_occasion_on_which_nobody_was_seen_is_a_column_of_zeros(tmp_path: Path) -> None:
    """She was out in April and in every summer month, and saw nobody in April and August."""
    file = tmp_path / "effort.csv"
    file.write_text("date,boat\n2026-08-03,Ada\n2026-04-11,\n\n2026-05-20,\n2026-08-09,\n2026-06-02,\n")
    sightings = _sightings()
    occasion = occasions(sightings, "month")
    told = read_occasions(file, "month")
    assert told == ["2026-04", "2026-05", "2026-06", "2026-08"]
    every = every_occasion(occasion, told)
    assert every == ["2026-04", "2026-05", "2026-06", "2026-07", "2026-08"]  # July has sightings
    seen = histories(sightings, occasion, every)
    assert inp(seen) == (
        "/* occasions: 2026-04, 2026-05, 2026-06, 2026-07, 2026-08 */\n"
        "/* Anna */ 01010 1;\n/* Bo */ 01100 1;\n/* Cy * / x */ 00010 1;\n"
    )
    assert capture_table(seen)["ch"].tolist() == ["01010", "01100", "00010"]
    assert estimate(seen.to_numpy()) == estimate(seen.drop(columns=["2026-04", "2026-08"]).to_numpy())
    assert every_occasion(pd.Series(["sighting 10", None, "sighting 2"]), []) == ["sighting 2", "sighting 10"]
    file.write_text("reef\ncape\nbay\n")  # places stay in the order of the file
    assert every_occasion(occasions(sightings, "place"), read_occasions(file, "place")) == ["reef", "cape", "bay"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("date\n2026-05-01\nlast spring\n", " line 3: 'last spring' is no date: write 2026-06-01, or 2026-06, or 2026"),
        ("\n", ": it names no occasion"),
        (None, ": there is no such file of text"),
    ],
)
def test_a_file_of_occasions_that_says_nothing(tmp_path: Path, text: str | None, why: str) -> None:
    file = tmp_path / "effort.txt"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError) as caught:
        read_occasions(file, "day")
    assert str(caught.value) == f"--occasions {file}{why}"


def test_what_is_no_occasion_is_named() -> None:
    with pytest.raises(UserError, match="--occasion week: write day, month, year, or a column: image, individual"):
        occasions(_sightings(), "week")
    with pytest.raises(UserError, match="--occasion day: no sighting has a date, so there is no capture history"):
        occasions(_sightings().assign(date=None), "day")


def test_estimates_by_the_textbook() -> None:
    # 10 seen first, 12 seen second, 4 of them again: (11 * 13) / 5 - 1.
    seen = np.zeros((18, 2), int)
    seen[:10, 0] = 1
    seen[6:18, 1] = 1
    assert estimate(seen) == pytest.approx(11 * 13 / 5 - 1)
    # A third occasion: 5 animals, of 18 known before; all of them seen before. (12 * 10 + 5 * 18) / (4 + 5 + 1).
    third = np.zeros((18, 1), int)
    third[:5] = 1
    assert estimate(np.hstack([seen, third])) == pytest.approx((12 * 10 + 5 * 18) / (4 + 5 + 1))
    assert np.isnan(estimate(seen[:, :1]))
    # One animal seen on all of ten occasions, nine on one each: Schnabel's estimate alone would be below ten.
    shy = np.vstack([np.ones((1, 10), int), np.eye(10, dtype=int)[1:]])
    assert estimate(shy) == 10
