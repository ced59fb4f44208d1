"""Encounters made of times and places, and those that grow too long."""

import pandas as pd
import pytest
from conftest import prepare_params

from finprint.survey.encounters import encounters, long_encounters, seen, times, together
from finprint.survey.hygiene import LONG_ENCOUNTER


def _photos(*rows: tuple[str, str | None]) -> tuple[pd.DataFrame, pd.Series]:
    """(time of the day, place) of each photo; a place "told" tells the encounter instead."""
    places = [None if place == "told" else place for _, place in rows]
    met = [place if place == "told" else None for _, place in rows]
    table = pd.DataFrame({"encounter": met, "location": places}, dtype="string").assign(split="train")
    return table, pd.Series(pd.to_datetime([f"2021-07-03 {time}" if time else None for time, _ in rows]))


def _met(gap: float, *rows: tuple[str, str | None]) -> list[str]:
    return encounters(*_photos(*rows), gap).fillna("?").str.removeprefix("2021-07-03 ").tolist()


def test_time_alone() -> None:
    rows = [("10:00", None), ("10:50", None), ("11:51", None), ("", None), ("10:20", "told")]
    assert _met(60, *rows) == ["10:00:00", "10:00:00", "11:51:00", "?", "told"]
    assert _met(0, *rows) == ["?", "?", "?", "?", "told"]


def test_a_change_of_place_ends_an_encounter() -> None:
    """Two boats at once: what each saw is one encounter. A photo without a place is where the one before it was."""
    rows = [
        ("10:00", "Skye"),
        ("10:05", "Moray"),
        ("10:10", "skye"),
        ("10:15", "Moray"),
        ("10:20", None),
        ("15:00", "Skye"),
    ]
    assert _met(60, *rows) == [
        "10:00:00 Skye", "10:05:00 Moray", "10:00:00 Skye", "10:05:00 Moray", "10:05:00 Moray", "15:00:00 Skye",
    ]  # fmt: skip
    assert _met(60, ("10:00", None), ("10:30", "Skye")) == ["10:00:00 Skye"] * 2


def test_animals_of_one_day_are_of_several_groups() -> None:
    """A day without times would else be one group, and no photo of it be left for training."""
    photos, taken = _photos(
        ("00:00", None), ("00:00", None), ("00:00", None), ("00:00", None), ("", "told"), ("", None)
    )
    told = photos["encounter"].notna()
    photos = photos.assign(encounter=encounters(photos, taken, 60), identity=["A", "B", "A", None, "A", "A"])
    day = "2021-07-03 00:00:00"
    assert together(photos, told).fillna("?").tolist() == [f"{day} A", f"{day} B", f"{day} A", day, "told", "?"]


def test_long_encounters_are_told_with_the_key_to_change() -> None:
    rows: list[tuple[str, str | None]] = [
        (f"{minute // 60:02}:{minute % 60:02}", None) for minute in range(0, 1400, 50)
    ]
    photos, taken = _photos(*rows, ("23:59", "told"))
    told = photos["encounter"].notna()
    photos = photos.assign(encounter=encounters(photos, taken, 60))
    assert list(long_encounters(photos, taken, told, 60)) == [(
        LONG_ENCOUNTER, "2021-07-03 00:00:00", None,
        "one encounter of 28 photos and 22.5 hours: make prepare.encounter_gap smaller (60 minutes), or tell "
        "encounters or places",
    )]  # fmt: skip
    short = photos.assign(encounter=encounters(photos.assign(encounter=pd.NA), taken, 30))
    assert list(long_encounters(short, taken, told, 30)) == []


def test_an_encounter_that_holds_half_of_the_catalogue() -> None:
    photos, taken = _photos(*[("", "told")] * 20, *[("", None)] * 20)
    told = photos["encounter"].notna()
    why = "one encounter of 20 photos: do the table's or folders' encounters mean meetings?"
    assert list(long_encounters(photos, taken, told, 60)) == [(LONG_ENCOUNTER, "told", None, why)]
    more, times = _photos(*[("", "told")] * 20, *[("", None)] * 21)
    assert list(long_encounters(more, times, more["encounter"].notna(), 60)) == []


def test_the_table_s_date_goes_before_the_camera_s() -> None:
    photos = pd.DataFrame({
        "image": ["a", "b", "c", "d"],
        "date": pd.array(["2021-07-03", pd.NA, "31.02.2021", pd.NA], dtype="string"),
        "taken": [pd.Timestamp("2020-01-01"), pd.Timestamp("2020-01-02"), pd.Timestamp("2020-01-03"), None],
    })  # fmt: skip
    bad: list[tuple[str, str]] = []
    taken = times(photos, prepare_params(day_first=True), lambda image, why: bad.append((image, why)))
    assert taken.dt.strftime("%Y-%m-%d").fillna("?").tolist() == ["2021-07-03", "2020-01-02", "2020-01-03", "?"]
    assert bad == [("c", "'31.02.2021' is no possible date, read with the day first")]
    assert times(photos, prepare_params(encounter_gap=0), lambda image, why: None).isna().tolist() == [False] * 3 + [
        True
    ]


def test_dates_reach_exports_where_no_encounter_is_made_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    camera = pd.to_datetime(pd.Series(["2026-05-01 10:00", "2026-05-02 10:00", None]))
    photos = pd.DataFrame({"image": ["a", "b", "c"], "date": ["2026-06-01", None, "soon"], "taken": camera})
    params = prepare_params(encounter_gap=0)
    when = seen(photos, times(photos, params, lambda image, why: None), params)
    assert when.astype("string").fillna("").tolist() == ["2026-06-01 00:00:00", "2026-05-02 10:00:00", ""]
    unsure = photos.assign(date=["1/2/2026", None, None])
    assert seen(unsure, camera, params).equals(camera)
    assert capsys.readouterr().out.startswith("the table's dates do not reach exports: a: does the day or the month")
