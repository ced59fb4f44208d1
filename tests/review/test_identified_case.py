"""The review of photos that `finprint identify` has named, and the way from a decision into the bundle's gallery."""

import shutil
from pathlib import Path

import pytest
from finished import Project

from finprint.base.errors import UserError
from finprint.bundle.bundle import Bundle
from finprint.bundle.enrol import enrol
from finprint.bundle.identify import identify
from finprint.review.review import Review
from finprint.review.start import case_of


@pytest.fixture(scope="module")
def out(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("reviewed")
    bundle = Path(shutil.copytree(project.root / "models/bundle", root / "whales"))
    identify([project.queries], Bundle.load(bundle), root / "june")
    return root / "june"


def test_photos_answers_and_pictures_are_there(out: Path) -> None:
    case = case_of(out, None)
    review = Review(case, "Ada")
    query = next(iter(case.answers))
    told = review.photo(query)
    assert told["image"] == query
    for kind in ("small", "large"):
        assert review.picture(query, kind).jpeg[:2] == b"\xff\xd8"
    match = next(answer.match for answer in case.answers[query] if answer.match)
    assert review.picture(match, "small").jpeg[:2] == b"\xff\xd8"
    assert review.picture(match, "large").jpeg[:2] == b"\xff\xd8"  # of the bundle's picture: the original is elsewhere


def test_another_box_is_answered_anew(out: Path) -> None:
    case = case_of(out, None)
    query = next(iter(case.answers))
    assert case.again is not None
    again = case.again(case.photos[query], (2.0, 2.0, 40.0, 40.0))
    assert len(again) == len(case.answers[query])
    assert [one.score for one in again] != [one.score for one in case.answers[query]]


def test_what_is_decided_on_the_page_enters_the_gallery(out: Path) -> None:
    case = case_of(out, None)
    query = next(iter(case.answers))
    Review(case, "Ada").decide({"action": "new", "photo": query, "to": "Nora", "who": "Ada"})
    assert case.log == out / "decisions.jsonl"
    enrol(out, out.parent / "whales")
    assert "Nora" in set(Bundle.load(out.parent / "whales").gallery.photos["identity"].dropna())


def test_a_folder_that_holds_no_answers_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no identified photos: `finprint identify PHOTOS --out "):
        case_of(tmp_path, None)
