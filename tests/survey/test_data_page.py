"""The page on a collection: what looks wrong stands there with its pictures, and nobody's name becomes a tag."""

import shutil
from pathlib import Path

import pytest
from conftest import SurveyFolder, prepare_params, save_photo, scenery
from PIL import Image

from finprint.survey.page import SHOWN, write_data_page
from finprint.survey.prepare import survey
from finprint.survey.sources import read_source


def _page(folder: SurveyFolder, out: Path) -> str:
    params = prepare_params()
    source, _ = read_source(params, folder.root)
    paths = dict(zip(source.labelled["image"], source.labelled["path"], strict=True))
    for name in ("one.html", "two.html"):
        write_data_page(out / name, survey(source, params, 1), paths, source.counts)
    assert (out / "one.html").read_bytes() == (out / "two.html").read_bytes()
    return (out / "one.html").read_text()


def _sections(page: str) -> dict[str, int]:
    """Cards of each section by its title."""
    parts = [part.partition("</h2>") for part in page.split("<h2>")[1:]]
    return {title.partition(" <small>")[0]: body.count("<li>") for title, _, body in parts}


def test_what_is_wrong_is_shown(folder: SurveyFolder, tmp_path: Path) -> None:
    folder.train("a.jpg,orca,A,", "b.jpg,orca,B,", "c.jpg,orca,A,", "d.jpg,Orca,a,", "e.jpg,orca,C,", "f.jpg,orca,C,")
    train = folder.root / "train_images"
    shutil.copy(train / "a.jpg", train / "b.jpg")
    save_photo(train / "c.jpg", scenery(9, 40, 40))
    (train / "f.jpg").write_bytes(b"<b>no photo</b>")
    folder.table("boxes.csv", "image,part,x_min,y_min,x_max,y_max", "a.jpg,<b>fin</b>,9,9,1,1")
    page = _page(folder, tmp_path)
    assert _sections(page) == {
        "Photos of each individual": 0,
        "Tables of boxes": 0,
        "Rejects": 4,  # a and b are one photo under two names, f is none, and the box's corners
        "Copy under two names": 1,
        "Individuals written alike": 1,
        "Species written alike": 1,
        "Odd size": 1,
    }
    assert page.count("data:image/jpeg;base64,") == 3 + 2 + 1  # readable rejects, copies, an odd size
    assert page.count("no picture") == 1
    assert "same photo as a.jpg, labelled as A and B: say in decisions.csv which to drop" in page
    assert "<b>" not in page
    assert "http:" not in page  # nothing is fetched
    assert "https:" not in page


def test_photos_saved_again_are_shown_beside_the_first(folder: SurveyFolder, tmp_path: Path) -> None:
    folder.train("a.jpg,orca,A,", "b.jpg,orca,A,", "c.jpg,orca,B,")
    folder.photos("q.jpg", split="test")
    train = folder.root / "train_images"
    for again in (train / "b.jpg", folder.root / "test_images" / "q.jpg"):
        with Image.open(train / "a.jpg") as photo:
            photo.save(again, quality=60 if again.stem == "b" else 70)
    page = _page(folder, tmp_path)
    assert _sections(page) == {
        "Photos of each individual": 0,
        "Photo to identify is nearly in the catalogue": 1,
        "Alike": 1,
    }
    assert page.count("data:image/jpeg;base64,") == 3  # of the photo to identify the catalogue's alone is at hand here


def test_a_sound_collection(folder: SurveyFolder, tmp_path: Path) -> None:
    folder.train(*(f"{number}.jpg,orca,A{number % 2}," for number in range(6)))
    page = _page(folder, tmp_path)
    assert "Nothing looks wrong" in page
    assert _sections(page)["Photos of each individual"] == 0


@pytest.mark.parametrize("more", [0, 5])
def test_long_lists_are_cut(folder: SurveyFolder, tmp_path: Path, more: int) -> None:
    folder.train("a.jpg,orca,A,", "b.jpg,orca,B,")
    folder.table("boxes.csv", "image,part,x_min,y_min,x_max,y_max", *["a.jpg,fin,9,9,1,1"] * (SHOWN + more))
    page = _page(folder, tmp_path)
    assert _sections(page)["Rejects"] == SHOWN
    assert ("and 5 more in <code>data/rejects.csv</code>" in page) == bool(more)
