"""Which answers changed, and why: each reason by a hand-made case."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from finprint.answers.tables import ANSWERS, GALLERY
from finprint.base.files import write_json
from finprint.evaluation.changed import Answered, changed, keep, last_time
from finprint.report.changed import tell_changed, write_changed
from finprint.store.tables import NEW, write_table

GALLERY_BEFORE = {"a1": "Anna", "b1": "Bo", "c1": "Cy"}


def _answers(first: dict[str, tuple[str, str | None]], second: str = "Cy") -> pd.DataFrame:
    rows = [(query, 1, name, 0.9, 0.8, match) for query, (name, match) in first.items()]
    rows += [(query, 2, second, 0.5, 0.1, "c1") for query in first]
    return ANSWERS.validate(pd.DataFrame(rows, columns=["query", "rank", "identity", "score", "probability", "match"]))


def _gallery(names: dict[str, str]) -> pd.DataFrame:
    return GALLERY.validate(pd.DataFrame({"image": list(names), "identity": list(names.values())}))


BEFORE = Answered(
    _answers({"p": ("Anna", "a1"), "q": (NEW, None), "r": ("Bo", "b1")}),
    _gallery(GALLERY_BEFORE),
    {"threshold": 0.5},
    ("m",),
)


def _why(now: Answered) -> dict[str, str]:
    table = changed(BEFORE, now)
    return dict(zip(table["photo"], table["why"], strict=True))


def test_nothing_changed() -> None:
    assert _why(BEFORE) == {}


def test_a_new_photo_in_the_catalogue_and_one_that_a_person_named() -> None:
    gallery = _gallery(GALLERY_BEFORE | {"d1": "Dee", "r": "Bo"})
    answers = _answers({"p": ("Anna", "a1"), "q": ("Dee", "d1"), "new photo": ("Bo", "b1")})
    assert _why(replace(BEFORE, answers=answers, gallery=gallery, models=("other",))) == {
        "q": "the catalogue has a new photo: d1",
        "r": "a person has named it",
    }
    table = changed(BEFORE, replace(BEFORE, answers=answers, gallery=gallery)).set_index("photo")
    assert table.loc["q", ["before", "now"]].tolist() == [NEW, "Dee"]
    assert table.loc["r", ["before", "now"]].tolist() == ["Bo", "Bo"]


def test_a_photo_that_shows_another_animal_or_is_gone() -> None:
    now = replace(BEFORE, answers=_answers({"p": ("Ann", "a1"), "q": (NEW, None), "r": (NEW, None)}))
    assert _why(replace(now, gallery=_gallery({"a1": "Ann", "c1": "Cy"}))) == {
        "p": "a1 shows Ann now, and Anna before",
        "r": "b1 is not in the catalogue any more",
    }


def test_a_model_a_threshold_or_other_rules() -> None:
    rows = _answers({"p": ("Bo", "b1"), "q": (NEW, None), "r": ("Bo", "b1")})
    assert _why(replace(BEFORE, answers=rows, models=("n",))) == {"p": "a model was trained anew"}
    fitted = replace(BEFORE, answers=rows, rules={"threshold": 0.5, "blend": 1})
    assert _why(fitted) == {"p": "the rules were fitted anew"}
    assert _why(replace(BEFORE, answers=rows)) == {"p": "its own crop or second look changed"}
    more = _gallery(GALLERY_BEFORE | {"d1": "Dee"})
    assert _why(replace(BEFORE, answers=rows, gallery=more)) == {"p": "other photos of the catalogue count"}
    # The same order of known individuals, but new_individual has come in front of it.
    moved = BEFORE.answers.copy()
    mine = moved["query"] == "p"
    moved.loc[mine, "rank"] += 1
    moved = pd.concat([moved, _answers({"p": (NEW, None)}).iloc[:1]])
    assert _why(replace(BEFORE, answers=moved, rules={"threshold": 0.75})) == {
        "p": "the threshold moved: 0.500 before, 0.750 now"
    }
    # The rules of one time are unknown.
    assert _why(replace(BEFORE, answers=moved, rules={})) == {"p": "the rules were fitted anew"}
    # The same order again, but no threshold has moved.
    assert _why(replace(BEFORE, answers=moved)) == {"p": "its own crop or second look changed"}


def test_the_page_and_its_table(tmp_path: Path) -> None:
    gallery = _gallery(GALLERY_BEFORE | {"d1": "=Dee"})
    table = changed(BEFORE, replace(BEFORE, answers=_answers({"q": ("=Dee", "d1")}), gallery=gallery))
    write_changed(tmp_path / "changed.html", "<HEAD>", table, 3)
    page = (tmp_path / "changed.html").read_text()
    assert "3 of 3 first answers changed since &lt;HEAD&gt;" in page
    assert "<li>1: the catalogue has a new photo" in page
    told = pd.read_csv(tmp_path / "changed.csv")
    assert told["photo"].tolist() == ["p", "q", "r"]
    assert told["now"].fillna("").tolist() == ["", "'=Dee", ""]
    write_changed(tmp_path / "changed.html", "HEAD", table.iloc[:0], 3)
    assert "have the same first answer" in (tmp_path / "changed.html").read_text()


def test_each_run_is_compared_with_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    (tmp_path / "model").write_text("weights")
    page = tmp_path / "changed.html"

    def run(answers: pd.DataFrame, threshold: float) -> list[str]:
        write_table(tmp_path / "search/answers.parquet", answers, ANSWERS)
        write_table(tmp_path / "search/gallery.parquet", BEFORE.gallery, GALLERY)
        write_json(tmp_path / "search/rules.json", {"threshold": threshold})
        last_time(tmp_path, tmp_path / "model")  # a run that was refused: the next one is not compared with it
        earlier, now = last_time(tmp_path, tmp_path / "model")
        keep(now)
        return tell_changed(page, "the last run", earlier, now) if earlier else ["the first run"]

    moved = _answers({"p": ("Bo", "b1"), "q": (NEW, None), "r": ("Bo", "b1")})
    assert run(BEFORE.answers, 0.5) == ["the first run"]
    assert run(BEFORE.answers, 0.5) == []
    assert not page.exists()
    told = ["1: the rules were fitted anew", f"1 of 3 first answers changed since the last run: {page}"]
    assert run(moved, 0.6) == told
    before = page.read_text()
    assert run(moved, 0.6) == []  # a stage that runs again leaves the page as it is
    assert page.read_text() == before
    (tmp_path / ".cache/answered/answers.parquet").write_bytes(b"damaged")
    assert run(BEFORE.answers, 0.5) == ["the first run"]
