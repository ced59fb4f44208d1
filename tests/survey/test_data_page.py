"""The page on a collection: what looks wrong stands there with its pictures, and nobody's name becomes a tag."""

import csv
import html
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import SurveyFolder, prepare_params, save_photo, scenery
from PIL import Image

from finprint.survey.page import EXAMPLES, SHOWN, write_data_page
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
    pieces = [piece.partition("</h2>") for piece in page.split("<h2>")[1:]]
    cards = {title.partition(" <small>")[0]: body.count("<li>") for title, _, body in pieces}
    return {
        title: count for title, count in cards.items() if title not in ("What needs a decision first", "How to decide")
    }


def _first(page: str) -> list[str]:
    """The sentences about what needs a decision first."""
    return re.findall("<li>(.*)</li>", page.partition('<ol class="first">')[2].partition("</ol>")[0])


def _suggested(page: str) -> list[str]:
    """The lines to paste."""
    blocks = re.findall('<div class="lines">(.*)</div>', page)
    return [html.unescape(line) for block in blocks for line in re.findall("<code>(.*?)</code>", block, re.DOTALL)]


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
    assert _suggested(page) == ["drop,b.jpg,", "drop,a.jpg,", "merge,A,a", "Orca: orca", "drop,c.jpg,"]
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


def test_what_needs_a_decision_comes_first(folder: SurveyFolder, tmp_path: Path) -> None:
    folder.train("a.jpg,orca,A,e1", "b.jpg,Orca,A,e1", "c.jpg,orca,C,")
    (folder.root / "train_images" / "c.jpg").write_bytes(b"no photo")
    page = _page(folder, tmp_path)
    assert _first(page) == [
        "No photo validates, so nothing can be measured and no threshold fitted. Some individuals need photos of two "
        "encounters. Does prepare.encounter_gap join too many photos?",
        "There is no photo to identify. docs/sources.md says where they lie.",
        "1 entry cannot be used as it is: see Rejects.",
        "Species written alike: 1 case to decide, see below.",
    ]
    assert "<dt>species</dt><dd>2</dd>" in page
    assert "<dd>0</dd>" not in page


@pytest.mark.parametrize(("new_share", "told"), [(0.0, True), (0.3, False)])
def test_no_new_animal_in_validation_is_marked(tmp_path: Path, new_share: float, told: bool) -> None:
    folder = SurveyFolder(tmp_path / "survey")
    folder.train(*(f"{animal}_{met}.jpg,orca,A{animal}," for animal in range(12) for met in range(3)))
    params = prepare_params(new_share=new_share, folds=3)
    source, _ = read_source(params, folder.root)
    write_data_page(tmp_path / "page.html", survey(source, params, 1), {}, source.counts)
    first = _first((tmp_path / "page.html").read_text())
    assert any(sentence.startswith("No new animal in validation") for sentence in first) == told


def test_lines_to_paste_say_what_is_meant(tmp_path: Path) -> None:
    """Whatever the names: pasted, they settle the findings that they stand beside."""
    names = ['Sly, "the; one"', "sly the one", "B"]
    rows = [*((f'{k};"1".jpg', names[0]) for k in range(3)), ("a b.jpg", names[1]), ("c,d.jpg", "B")]
    folder = tmp_path / "survey"
    for number, (image, _) in enumerate(rows):
        save_photo(folder / image, scenery(number))
    save_photo(folder / "c,d.jpg", np.asarray(Image.open(folder / "a b.jpg")), quality=60)
    with (folder / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "identity"), *rows])
    params = prepare_params(source="csv")
    source, _ = read_source(params, folder)
    write_data_page(tmp_path / "page.html", survey(source, params, 1), {}, source.counts)
    lines = _suggested((tmp_path / "page.html").read_text())
    assert lines == [
        "relabel,a b.jpg,B", 'relabel,"c,d.jpg",sly_the_one', '"merge","sly_the_one","Sly,_""the;_one"""'
    ]  # fmt: skip
    (folder / "decisions.csv").write_text("\n".join(["action,id,to", *lines[1:]]) + "\n")
    source, decided = read_source(params, folder)
    assert {action: count for action, count in decided.items() if count} == {"merge": 1, "relabel": 1}
    assert source.labelled["identity"].unique().tolist() == ['Sly,_"the;_one"']
    assert not len(survey(source, params, 1).findings.query("kind != 'alike'"))


def test_fifty_thousand_rejects_stay_readable(folder: SurveyFolder, tmp_path: Path) -> None:
    folder.train("a.jpg,orca,A,", "b.jpg,orca,B,")
    params = prepare_params()
    source, _ = read_source(params, folder.root)
    reasons = [
        "on disk, but in no table", "box (1, {0}, 9, 9): lies outside the photo of {0} x 99 px", "'{0}.5.' is no date",
        "the same photo as x{0}.jpg, which is used", "labelled as A{0} and as B: keep one of the rows",
    ]  # fmt: skip
    rows = [(f"{n}.jpg", "photos", reasons[n % 5].format(n)) for n in range(50_000)]
    collection = replace(survey(source, params, 1), rejects=pd.DataFrame(rows, columns=["image", "table", "reason"]))
    write_data_page(tmp_path / "page.html", collection, {f"{n}.jpg": source.labelled["path"][0] for n in range(99)}, {})
    page = (tmp_path / "page.html").read_text()
    assert len(page) < 1_000_000
    assert re.findall(r"<tr><th>(.*)</th><td>(.*)</td></tr>", page) == [
        (kind, "10,000")
        for kind in (
            "on disk, but in no table", "box …: lies outside the photo of … px", "… is no date",
            "the same photo as …, which is used", "labelled as …: keep one of the rows",
        )
    ]  # fmt: skip
    assert _sections(page)["Rejects"] == 5 * EXAMPLES
    assert "Rejects <small>50,000</small>" in page
    assert "and 49,970 more in <code>data/rejects.csv</code>" in page


def test_long_lists_are_cut(folder: SurveyFolder, tmp_path: Path) -> None:
    folder.train(*(f"{number}.jpg,orca,{name}{number}," for number in range(SHOWN + 5) for name in "a"))
    params = prepare_params()
    source, _ = read_source(params, folder.root)
    collection = survey(source, params, 1)
    rows = [(kind, f"{k}.jpg", None, "x" * 5000) for kind in ("odd size", "a new kind") for k in range(SHOWN + 5)]
    findings = pd.DataFrame(rows, columns=["kind", "name", "other", "detail"])
    write_data_page(tmp_path / "page.html", replace(collection, findings=findings), {}, {})
    page = (tmp_path / "page.html").read_text()
    assert _sections(page) == {"Photos of each individual": 0, "Odd size": SHOWN, "A new kind": SHOWN}
    assert page.count("and 5 more in <code>data/findings.csv</code>") == 2
    assert len(page) < 300_000


def test_the_page_says_what_boxes_there_are(folder: SurveyFolder, tmp_path: Path) -> None:
    folder.train("a.jpg,orca,A,", "b.jpg,orca,B,")
    folder.table("boxes.csv", "image,part,x_min,y_min,x_max,y_max", *["a.jpg,fin,9,9,1,1"] * 9, "b.jpg,fin,1,1,9,9")
    page = _page(folder, tmp_path)
    assert _sections(page)["Rejects"] == EXAMPLES
    assert "and 3 more in <code>data/rejects.csv</code>" in page
    assert "<tr><th>box …: empty or corners swapped</th><td>9</td></tr>" in page
