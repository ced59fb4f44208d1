"""The report in a real browser: what its JavaScript makes of the data. Skipped where there is no Chromium."""

import contextlib
import re
import shutil
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import judged
from PIL import Image
from webdriver import Browser

from finprint.keypoints.tables import POINTS
from finprint.pictures.images import encode_jpeg
from finprint.pictures.shards import INDEX, Crops, write_shard
from finprint.report.page import Report, write_report
from finprint.store.tables import CROPS, NEW, write_table

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="chromium and chromedriver are not installed: the page is not tried"
)

QUERIES, GALLERY = 5000, 1000
NASTY = "it's </script><b>\"&<.jpg"
NAMES = [f"q{n:04d}.jpg" for n in range(QUERIES - 1)] + [NASTY] + [f"g{n:04d}.jpg" for n in range(GALLERY)]


def _answers() -> pd.DataFrame:
    """The best answer's probability is n / 5000; every seventh is answered new, others ind(n % 50)."""
    number = np.repeat(np.arange(QUERIES), 2)
    rank = np.tile([1, 2], QUERIES)
    new = (number % 7 == 0) & (rank == 1)
    table = pd.DataFrame({"query": np.array(NAMES)[number], "rank": rank, "score": 0.75 / rank})
    table["identity"] = np.where(
        new, NEW, [f"ind{n % 50:02d}{'b' * (r - 1)}" for n, r in zip(number, rank, strict=True)]
    )
    table["probability"] = np.where(rank == 1, number / QUERIES, 0.01)
    table["match"] = np.where(new, None, [f"g{n % GALLERY:04d}.jpg" for n in number])
    return table


ANSWERS = _answers()
FIRST = ANSWERS[ANSWERS["rank"] == 1].reset_index(drop=True)
# Three quarters of the truths are known, and two thirds of all first answers right.
TRUTH = FIRST["identity"].where(FIRST.index % 3 > 0, "ind99")[FIRST.index % 4 > 0]
JUDGED = judged(ANSWERS, TRUTH.set_axis(FIRST["query"][TRUTH.index]))
EMPTY = judged(ANSWERS.iloc[:0], pd.Series(dtype=object))
NOTHING = pd.DataFrame(columns=["split", "by", "group", "metric", "value", "low", "high", "queries"])


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Crops:
    """Thousands of names of one small crop."""
    folder = tmp_path_factory.mktemp("crops")
    offset, length = write_shard(folder / "0.tar", [("0.jpg", encode_jpeg(np.full((9, 16, 3), 80, np.uint8), 90))])[0]
    table = pd.DataFrame({"image": NAMES, "part": "whole", "confidence": 0.0, "shard": "0.tar"})
    table = table.assign(x_min=0.0, y_min=0.0, x_max=1.0, y_max=1.0, offset=offset, length=length)
    write_table(folder / INDEX, table, CROPS)
    return Crops(folder)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert CHROMIUM is not None
    assert DRIVER is not None
    browser = Browser(DRIVER, CHROMIUM, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


Opened = Callable[..., str]


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opened]:
    """Opens a page at an address, runs a script in it, and gives the page as it stands once `until` is true.

    No test may leave an error in the browser's console.
    """

    def as_it_stands(page: Path, address: str = "", then: str = "", until: str = "true") -> str:
        browser.open("about:blank")
        browser.open(f"{page.as_uri()}{address}")
        browser.run(then)
        browser.wait(until)
        return browser.run("return document.documentElement.outerHTML")

    yield as_it_stands
    assert [text for text in browser.complaints() if "/raw/" not in text] == []  # but for originals that are not there


def _points() -> pd.DataFrame:
    """Two matched places of q0001 and g0001."""
    places = {"x": [0.25, 0.5], "y": [0.5, 0.75], "match_x": [0.0, 1.0], "match_y": [0.1, 0.5]}
    points = pd.DataFrame({"query": "q0001.jpg", "match": "g0001.jpg", **places, "score": [0.9, 0.8], "inlier": True})
    return POINTS.validate(points)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, crops: Crops) -> Path:
    path = tmp_path_factory.mktemp("project") / "metrics" / "report.html"
    path.parent.mkdir()
    species = ["killer_whale" if n % 2 else None for n in range(len(NAMES))]
    names = ["ind01" if name == "g0001.jpg" else None for name in NAMES]
    photos = pd.DataFrame({"image": NAMES, "species": species, "identity": names}).astype("string")
    photos["encounter"] = [f"E{n // 3}" if 100 <= n < 109 else None for n in range(len(NAMES))]
    # The original of the first photo lies beside the page, that of the second one does not.
    photos = photos.assign(path=["raw/é #1.png", "raw/gone.png", *["raw/x.tif"] * (len(NAMES) - 2)], width=16, height=9)
    Image.fromarray(np.full((9, 16, 3), 200, np.uint8)).save(raw(path.parent) / "é #1.png")
    explained = {("q0001.jpg", "g0001.jpg"): (b"hot one", b"hot two")}
    proposed = pd.Series({"q0007.jpg": "new_0042"})
    report = Report({"test": JUDGED, "validation": EMPTY}, NOTHING, [], 0.5, photos, proposed, explained, _points())
    with contextlib.chdir(path.parents[1]):
        write_report(path, report, crops)
    return path


def raw(metrics: Path) -> Path:
    """The folder of originals of a project whose page lies in `metrics`."""
    folder = metrics.parent / "raw"
    folder.mkdir()
    return folder


def _shown(dom: str) -> list[str]:
    """The names of the queries of the cards, in order."""
    return [unescape(name) for name in re.findall(r'<div class="query"><img[^>]*><b>(.*?)</b>', dom)]


def _count(dom: str) -> str:
    found = re.search(r'<p id="count"[^>]*>(.*?)</p>', dom)
    assert found is not None
    return found[1]


def test_five_thousand_queries_open_at_once(page: Path, opened: Opened) -> None:
    dom = opened(page)
    milliseconds = re.search(r'data-milliseconds="(\d+)"', dom)
    assert milliseconds is not None, "no cards were made"
    assert int(milliseconds[1]) < 5000
    known = JUDGED.truth
    right = (FIRST.set_index("query")["identity"].reindex(known.index) == known).sum()
    assert (
        _count(dom) == f"5000 of 5000 photos; first answer right for {right} of the {len(known)} whose truth is known"
    )
    assert _shown(dom) == NAMES[:24]  # the least sure first
    assert len(re.findall(r"<img", dom.split("<dialog")[0])) < 24 * 6  # no picture of a card that is not there


NUMBER = np.arange(QUERIES)
TOLD, RIGHT = NUMBER % 4 > 0, NUMBER % 3 > 0


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("#answered=new&sort=sure", NUMBER % 7 == 0),
        ("#min=20&max=30", (NUMBER >= 1000) & (NUMBER <= 1500)),
        ("#verdict=unknown&search=IND08", ~TOLD & (NUMBER % 50 == 8)),
        ("#verdict=wrong&species=unknown&sort=name", TOLD & ~RIGHT & (NUMBER % 2 == 0)),
        ("#verdict=right&search=q01", TOLD & RIGHT & (NUMBER // 100 == 1)),
        ("#search=NEW_0042", NUMBER == 7),
        ("#split=validation", NUMBER >= 0),  # no such choice here: all
        ("#search=nobody", NUMBER < 0),
    ],
)
def test_a_filter_in_the_address(page: Path, address: str, expected: np.ndarray, opened: Opened) -> None:
    dom = opened(page, address)
    wanted = FIRST[expected]
    assert _count(dom).startswith(f"{len(wanted)} of 5000 photos")
    by, upward = ("query", True) if "sort=name" in address else ("probability", "sort=sure" not in address)
    assert _shown(dom) == wanted.sort_values(by, ascending=upward)["query"].tolist()[:24]


def test_what_is_filtered_stands_in_the_address(page: Path, opened: Opened) -> None:
    then = """
      form.elements.verdict.value = "wrong"; form.elements.search.value = "q0 &";
      form.dispatchEvent(new Event("input")); byId("cards").dataset.address = location.hash;"""
    assert 'data-address="#verdict=wrong&amp;search=q0+%26"' in opened(page, then=then)


def test_a_card(page: Path, opened: Opened) -> None:
    dom = opened(page, "#search=q2002")
    card = re.sub(r"<[^>]+>", " ", dom.split('<ol id="cards"')[1].split('<div id="more"')[0].split(">", 1)[1])
    query, first, second = (
        "q2002.jpg ✓ is new individual whole photo",
        "none of the known 1. new individual ✓ 40 % threshold 0.750",
        "2. ind02b 1 % score 0.375",
    )
    assert " ".join(unescape(card).split()) == f"{query} {first} {second}"


def test_one_individual_is_searched_by_its_whole_name_or_by_a_part_of_it(page: Path, opened: Opened) -> None:
    """ind07 is an answer to each fiftieth photo, and so is ind07b, which is another individual."""
    dom = opened(page, "#individual=IND07&sort=name")
    first = FIRST[(NUMBER % 50 == 7) & (NUMBER % 7 > 0)]
    true = [name for name in JUDGED.truth.index[JUDGED.truth == "ind07"] if name not in set(first["query"])]
    assert _count(dom).startswith(f"{len(first) + len(true)} of 5000 photos")
    panel = re.search('<section id="animal".*?</section>', dom, re.DOTALL)
    assert panel is not None
    assert f"<b>ind07</b><span>first answer of {len(first)} photos listed, a further one of 0" in panel[0]
    assert panel[0].count("<img") == len(set(first["match"]))
    assert 'class="answer sought"' in dom.replace("answer true sought", "answer sought")
    several = opened(page, "#individual=ind0")
    assert re.search('<section id="animal"[^>]*hidden', several)
    assert int(_count(several).split()[0]) == 1000  # ten of fifty
    then = "form.elements.individual.value = 'nd49'; form.elements.individual.dispatchEvent(new Event('input'))"
    assert re.findall('<option value="([^"]*nd49[^"]*)"', opened(page, then=then)) == ["ind49", "ind49b"]
    assert _count(opened(page, "#individual=new_0042")).startswith("1 of 5000 photos")


def test_photos_of_one_encounter_stand_together(page: Path, opened: Opened) -> None:
    dom = opened(page, "#sort=encounter")
    assert _shown(dom)[:10] == [*(f"q0{n}.jpg" for n in range(100, 109)), NASTY]
    heads = re.findall('<li class="encounter"><b>(.*?)</b>(.*?)</li>', dom)
    assert [head for head, _ in heads] == [
        "Encounter E33",
        "Encounter E34",
        "Encounter E35",
        "Encounter E36",
        "No encounter is known",
    ]
    assert heads[1][1] == " 3 photos; first answers: ind02 1, ind03 1, ind04 1"
    click = "document.querySelector('.query .plain').click()"
    dom = opened(page, "#search=q0103", click, "form.elements.encounter.value === 'E34'")
    assert _shown(dom) == ["q0102.jpg", "q0103.jpg", "q0104.jpg"]


def test_a_click_shows_the_original_or_says_where_it_should_be(page: Path, opened: Opened) -> None:
    large = "document.querySelector('#large-said').textContent"
    click = "document.querySelector('.query img').click()"
    dom = opened(page, "#search=q0000", click, f"{large}.endsWith('16 × 9 px')")
    assert 'src="../raw/%C3%A9%20%231.png"' in dom
    assert "raw/é #1.png, 16 × 9 px" in dom
    dom = opened(page, "#search=q0001.jpg", click, f"{large}.startsWith('The original')")
    assert "The original, raw/gone.png, is not where this page looks for it: keep the page in its project" in dom
    sheet = re.search('<div id="sheet".*?</div>', dom, re.DOTALL)
    assert sheet is not None
    assert "data:image/jpeg" in sheet[0]
    dom = opened(page, "#search=q0002.jpg", click, f"{large}.startsWith('This browser')")
    assert "This browser does not show files such as raw/x.tif" in dom


def test_the_animal_is_cut_from_the_original(page: Path, opened: Opened, browser: Browser) -> None:
    shown = "document.querySelector('#pair .frame.original .full')"
    opened(page, "#search=q0000", "document.querySelectorAll('button.answer')[0].click()", shown)
    assert browser.run(f"return [{shown}.naturalWidth, {shown}.style.width]") == [16, "1600%"]  # its box is 1 px wide


def test_metrics_are_a_view_of_their_own(page: Path, opened: Opened) -> None:
    click = "document.querySelector('[data-view=metrics]').click()"
    dom = opened(page, "#search=q0001", click, "location.hash.includes('view=metrics')")
    assert re.search('<main id="answers"[^>]*hidden', dom)
    assert not re.search('<section id="metrics"[^>]*hidden', dom)


def _dialog(dom: str) -> str:
    found = re.search(r"<dialog.*?</dialog>", dom, re.DOTALL)
    assert found is not None
    assert " open" in found[0].split(">")[0]
    return found[0]


def test_a_match_opens_with_its_heat_maps(page: Path, opened: Opened) -> None:
    shown = _dialog(opened(page, "#search=q0001.jpg", "document.querySelector('button.answer').click();"))
    assert "Answer 1: ind01 — &lt;1&nbsp;%, score 0.750" in shown
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', shown)
    assert pictures[0] == pictures[1]  # the same crop
    assert pictures[2:] == ["aG90IG9uZQ==", "aG90IHR3bw=="]
    assert "finprint explain" not in shown


def test_matched_points_of_the_second_look_are_joined_by_lines(page: Path, opened: Opened) -> None:
    click = "document.querySelector('button.answer').click();"
    shown = _dialog(opened(page, "#search=q0001.jpg", click, "document.querySelector('#points line')"))
    drawn = re.search("<svg.*?</svg>", shown, re.DOTALL)
    assert drawn is not None
    assert "second look: 2 matched places in q0001.jpg and" in drawn[0]
    assert drawn[0].count("<image") == drawn[0].count("<line") == 2
    # The crops are 16 x 9 px, so each is drawn 240 high and 426.7 wide, the second one 12 to the right of the first.
    ends = [float(end) for end in re.findall(r'[xy][12]="([^"]+)"', drawn[0].split("<line")[1])]
    assert ends == pytest.approx([426.67 / 4, 120, 426.67 + 12, 24], abs=0.01)
    assert "<svg" not in _dialog(opened(page, "#search=q0002.jpg", click))


def test_a_match_without_heat_maps_says_how_they_are_made_and_a_nasty_name_is_text(page: Path, opened: Opened) -> None:
    dom = opened(page, "#search=it's", "document.querySelectorAll('button.answer')[1].click();")
    assert _shown(dom) == [NASTY]
    assert _dialog(dom).count("<b>") == 2  # the names of both photos, and none that a name brings
    command = re.search("<code>(.*?)</code>", _dialog(dom))
    assert command is not None
    assert unescape(command[1]) == "python -m finprint explain 'it'\\''s </script><b>\"&<.jpg'"
    dom = opened(page, "#search=it's", "document.querySelector('button.answer').click(); go(1);")
    assert "Answer 2: ind49b" in _dialog(dom)


def test_without_probabilities_the_score_stands_alone(tmp_path: Path, crops: Crops, opened: Opened) -> None:
    photos = pd.DataFrame({"image": NAMES, "species": pd.NA}).astype("string")
    answers = ANSWERS.head(20).assign(probability=np.nan)
    path = tmp_path / "report.html"
    unsure = judged(answers, pd.Series(dtype=object))
    nobody = pd.Series(dtype=object)
    write_report(path, Report({"test": EMPTY, "validation": unsure}, NOTHING, [], 0.5, photos, nobody, {}), crops)
    dom = opened(path, "#sort=name")
    assert _count(dom) == "10 of 10 photos"
    assert '<span class="sure">score 0.750</span>' in dom
    assert "%</span>" not in dom
    assert dom.count("disabled") >= 2  # the two sliders
    assert '<option value="test"' not in dom
