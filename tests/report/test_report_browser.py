"""The report in a real browser: what its JavaScript makes of the data. Skipped where there is no Chromium."""

import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import judged

from finprint.keypoints.tables import POINTS
from finprint.pictures.images import encode_jpeg
from finprint.pictures.shards import INDEX, Crops, write_shard
from finprint.report.page import Report, write_report
from finprint.store.tables import CROPS, NEW, write_table

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed: the page is not tried in a browser"
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


def _open(page: Path, address: str = "", then: str = "") -> str:
    """The page as it stands after its scripts and `then` have run."""
    assert CHROMIUM is not None
    if then:
        copy = page.with_name("then.html")
        copy.write_text(page.read_text().replace("if (form) start();", f"if (form) start();\n{then}"))
        page = copy
    switches = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync"
    done = subprocess.run(
        [CHROMIUM, *switches.split(), "--disable-component-update", f"--user-data-dir={page.parent / 'profile'}",
         "--dump-dom", f"{page.as_uri()}{address}"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def _points() -> pd.DataFrame:
    """Two matched places of q0001 and g0001."""
    places = {"x": [0.25, 0.5], "y": [0.5, 0.75], "match_x": [0.0, 1.0], "match_y": [0.1, 0.5]}
    points = pd.DataFrame({"query": "q0001.jpg", "match": "g0001.jpg", **places, "score": [0.9, 0.8], "inlier": True})
    return POINTS.validate(points)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, crops: Crops) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    species = ["killer_whale" if n % 2 else None for n in range(len(NAMES))]
    names = ["ind01" if name == "g0001.jpg" else None for name in NAMES]
    photos = pd.DataFrame({"image": NAMES, "species": species, "identity": names}).astype("string")
    explained = {("q0001.jpg", "g0001.jpg"): (b"hot one", b"hot two")}
    proposed = pd.Series({"q0007.jpg": "new_0042"})
    report = Report({"test": JUDGED, "validation": EMPTY}, NOTHING, [], 0.5, photos, proposed, explained, _points())
    write_report(path, report, crops)
    return path


def _shown(dom: str) -> list[str]:
    """The names of the queries of the cards, in order."""
    return [unescape(name) for name in re.findall(r'<div class="query"><img[^>]*><b>(.*?)</b>', dom)]


def _count(dom: str) -> str:
    found = re.search(r'<p id="count"[^>]*>(.*?)</p>', dom)
    assert found is not None
    return found[1]


def test_five_thousand_queries_open_at_once(page: Path) -> None:
    dom = _open(page)
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
def test_a_filter_in_the_address(page: Path, address: str, expected: np.ndarray) -> None:
    dom = _open(page, address)
    wanted = FIRST[expected]
    assert _count(dom).startswith(f"{len(wanted)} of 5000 photos")
    by, upward = ("query", True) if "sort=name" in address else ("probability", "sort=sure" not in address)
    assert _shown(dom) == wanted.sort_values(by, ascending=upward)["query"].tolist()[:24]


def test_what_is_filtered_stands_in_the_address(page: Path) -> None:
    then = """
      form.elements.verdict.value = "wrong"; form.elements.search.value = "q0 &";
      form.dispatchEvent(new Event("input")); byId("cards").dataset.address = location.hash;"""
    assert 'data-address="#verdict=wrong&amp;search=q0+%26"' in _open(page, then=then)


def test_a_card(page: Path) -> None:
    dom = _open(page, "#search=q2002")
    card = re.sub(r"<[^>]+>", " ", dom.split('<ol id="cards"')[1].split('<div id="more"')[0].split(">", 1)[1])
    query, first, second = (
        "q2002.jpg ✓ is new individual whole photo",
        "none of the known 1. new individual ✓ 40 % threshold 0.750",
        "2. ind02b 1 % score 0.375",
    )
    assert " ".join(unescape(card).split()) == f"{query} {first} {second}"


def _dialog(dom: str) -> str:
    found = re.search(r"<dialog.*?</dialog>", dom, re.DOTALL)
    assert found is not None
    assert " open" in found[0].split(">")[0]
    return found[0]


def test_a_match_opens_with_its_heat_maps(page: Path) -> None:
    shown = _dialog(_open(page, "#search=q0001.jpg", "document.querySelector('button.answer').click();"))
    assert "Answer 1: ind01 — &lt;1&nbsp;%, score 0.750" in shown
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', shown)
    assert pictures[0] == pictures[1]  # the same crop
    assert pictures[2:] == ["aG90IG9uZQ==", "aG90IHR3bw=="]
    assert "finprint explain" not in shown


def test_matched_points_of_the_second_look_are_joined_by_lines(page: Path) -> None:
    click = "document.querySelector('button.answer').click();"
    shown = _dialog(_open(page, "#search=q0001.jpg", click))
    drawn = re.search("<svg.*?</svg>", shown, re.DOTALL)
    assert drawn is not None
    assert "second look: 2 matched places in q0001.jpg and" in drawn[0]
    assert drawn[0].count("<image") == drawn[0].count("<line") == 2
    # The crops are 16 x 9 px, so each is drawn 240 high and 426.7 wide, the second one 12 to the right of the first.
    ends = [float(end) for end in re.findall(r'[xy][12]="([^"]+)"', drawn[0].split("<line")[1])]
    assert ends == pytest.approx([426.67 / 4, 120, 426.67 + 12, 24], abs=0.01)
    assert "<svg" not in _dialog(_open(page, "#search=q0002.jpg", click))


def test_a_match_without_heat_maps_says_how_they_are_made_and_a_nasty_name_is_text(page: Path) -> None:
    dom = _open(page, "#search=it's", "document.querySelectorAll('button.answer')[1].click();")
    assert _shown(dom) == [NASTY]
    assert _dialog(dom).count("<b>") == 2  # the names of both photos, and none that a name brings
    command = re.search("<code>(.*?)</code>", _dialog(dom))
    assert command is not None
    assert unescape(command[1]) == "python -m finprint explain 'it'\\''s </script><b>\"&<.jpg'"
    dom = _open(page, "#search=it's", "document.querySelector('button.answer').click(); go(1);")
    assert "Answer 2: ind49b" in _dialog(dom)


def test_without_probabilities_the_score_stands_alone(tmp_path: Path, crops: Crops) -> None:
    photos = pd.DataFrame({"image": NAMES, "species": pd.NA}).astype("string")
    answers = ANSWERS.head(20).assign(probability=np.nan)
    path = tmp_path / "report.html"
    unsure = judged(answers, pd.Series(dtype=object))
    nobody = pd.Series(dtype=object)
    write_report(path, Report({"test": EMPTY, "validation": unsure}, NOTHING, [], 0.5, photos, nobody, {}), crops)
    dom = _open(path, "#sort=name")
    assert _count(dom) == "10 of 10 photos"
    assert '<span class="sure">score 0.750</span>' in dom
    assert "%</span>" not in dom
    assert dom.count("disabled") >= 2  # the two sliders
    assert '<option value="test"' not in dom
