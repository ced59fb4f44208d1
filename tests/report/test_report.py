"""The report: one page without a network that holds every query and every answer, and is the same twice."""

import base64
import io
import json
from copy import copy
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import judged
from PIL import Image

from finprint.evaluation.judging import Judged
from finprint.paper.figure import new_figure, svg
from finprint.pictures.images import encode_jpeg
from finprint.pictures.shards import INDEX, Crops, write_shard
from finprint.report import page as report
from finprint.report.page import HEIGHT, WIDTH, Report, script_json, write_report
from finprint.report.plotted import Plot
from finprint.report.tables import left_out, summary
from finprint.store.tables import CROPS, NEW, write_table

NASTY = '</script><!--<script><img src=http://evil.example onerror="x">&amp;"&<.jpg'
IMAGES = ["g1.jpg", "g2.jpg", "q1.jpg", "q2.jpg", "q3.jpg", NASTY, "v1.jpg", "unused.jpg"]
SHAPES = [(60, 50), (200, 300), (200, 1000), (200, 100), (HEIGHT, WIDTH), (8, 9), (300, 3), (9, 9)]  # height, width
SMALL = [(60, 50), (100, 150), (44, 220), (100, 50), (HEIGHT, WIDTH), (8, 9), (100, 1)]
BREAKDOWN = pd.DataFrame(
    [
        ("validation", "all", "all", "map5", 0.5, 0.25, 0.75, 7),
        ("test", "all", "all", "map5", 0.75, 0.7, 0.8, 1234),
        ("test", "all", "all", "<own>", 0.125, np.nan, np.nan, 1234),
        ("test", "species", "killer_whale", "map5", 0.25, 0.2, 0.3, 5),
        ("test", "species", "killer_whale", "top1", 0.35, 0.3, 0.4, 5),
        ("test", "species", "R&D", "map5", 1.0, 1.0, 1.0, 6),
        ("validation", "gallery photos", "3-5", "map5", 0.45, 0.4, 0.5, 3),
    ],
    columns=["split", "by", "group", "metric", "value", "low", "high", "queries"],
)


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Crops:
    folder = tmp_path_factory.mktemp("crops")
    pixels = [np.full((*shape, 3), 30 * n, np.uint8) for n, shape in enumerate(SHAPES)]
    places = write_shard(folder / "0.tar", [(f"{n}.jpg", encode_jpeg(p, 92)) for n, p in enumerate(pixels)])
    table = pd.DataFrame({"image": IMAGES, "part": "whole", "confidence": 0.0, "shard": "0.tar"})
    table = table.assign(x_min=0.0, y_min=0.0, x_max=1.0, y_max=1.0)
    table["offset"], table["length"] = [place[0] for place in places], [place[1] for place in places]
    write_table(folder / INDEX, table, CROPS)
    return Crops(folder)


def _answers(rows: dict[str, list[str]]) -> pd.DataFrame:
    flat = [
        (query, place + 1, name, 0.9 - 0.1 * place, 0.5**place, None if name == NEW else f"g{1 + place % 2}.jpg")
        for query, names in rows.items()
        for place, name in enumerate(names)
    ]
    return pd.DataFrame(flat, columns=["query", "rank", "identity", "score", "probability", "match"])


TEST = judged(
    _answers({"q1.jpg": ["al", NEW, "bo"], "q2.jpg": ["bo", "al"], "q3.jpg": [NEW, "al"], NASTY: ["al", NASTY]}),
    pd.Series({"q1.jpg": "al", "q2.jpg": "al", "q3.jpg": NEW}),
)
VALIDATION = judged(_answers({"v1.jpg": ["bo", "al"]}), pd.Series({"v1.jpg": "bo"}))
EMPTY = judged(TEST.answers.iloc[:0], pd.Series(dtype=object))
PHOTOS = pd.DataFrame({"image": IMAGES, "species": ["killer_whale"] * 5 + ["<i>"] + [None] * 2}).astype("string")
PROPOSED = pd.Series({"q3.jpg": "new_0001", "q1.jpg": None})
EXPLAINED = {("q2.jpg", "g1.jpg"): (b"hot q2", b"hot g1"), ("q1.jpg", "g2.jpg"): (b"hot q1", b"hot g2")}
PLOTS = [
    Plot("one", 'training "one"', "Drawn of <b>two</b>.", new_figure(1)[0]),
    Plot("two", "empty", "Not drawn, because R&D."),
]
REPORT = Report({"test": TEST, "validation": VALIDATION}, BREAKDOWN, PLOTS, 0.4321, PHOTOS, PROPOSED, EXPLAINED)


class Page(HTMLParser):
    """Tags with attributes, the contents of the scripts by kind, and the tables as rows of texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, list[str]] = {}
        self.tables: list[list[list[str]]] = []
        self._open = ""
        self.feed(text)
        self.close()
        self.data: dict[str, Any] = json.loads(self.scripts["application/json"][0])
        self.blocks = [block.split("\n") for block in self.scripts.get("text/plain", [])]
        self.album = [base64.b64decode(line, validate=True) for block in self.blocks for line in block]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag
        if tag == "script":
            self._kind = dict(attrs).get("type") or "code"
            self.scripts.setdefault(self._kind, []).append("")
        elif tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = "" if tag in ("script", "td", "th", "table") else self._open

    def handle_data(self, data: str) -> None:
        if self._open == "script":
            self.scripts[self._kind][-1] += data
        elif self._open in ("td", "th", "small"):
            self.tables[-1][-1][-1] += f" {data}" if self._open == "small" else data


def _write(path: Path, crops: Crops, report: Report = REPORT, **changes: Any) -> str:
    """Write the report, `test` and `validation` among the changes, and read it."""
    splits = report.splits | {split: changes.pop(split) for split in report.splits if split in changes}
    write_report(path, replace(report, splits=splits, **changes), crops)
    return path.read_text(encoding="utf-8")


def _rebuilt(data: dict[str, Any], split: str) -> pd.DataFrame:
    """The table of answers, from the page's JSON."""

    def name(number: int) -> str:
        return NEW if number == -1 else data["individuals"][number]

    rows = [
        (data["photos"][query["photo"]], place, name(individual), score, probability, match)
        for query in data["queries"]
        if query["split"] == split
        for place, (individual, score, probability, match) in enumerate(query["answers"], start=1)
    ]
    table = pd.DataFrame(rows, columns=["query", "rank", "identity", "score", "probability", "match"])
    table["match"] = [None if pd.isna(number) else data["photos"][int(number)] for number in table["match"]]
    return table


def test_every_answer_stands_in_the_page(tmp_path: Path, crops: Crops) -> None:
    data = Page(_write(tmp_path / "r.html", crops)).data
    for split, shown in (("test", TEST), ("validation", VALIDATION)):
        found = _rebuilt(data, split)
        expected = shown.answers.sort_values(["query", "rank"]).reset_index(drop=True)
        expected = expected.round({"score": 4, "probability": 4})
        for column in expected:
            mine, theirs = found[column], expected[column]
            assert mine.isna().tolist() == theirs.isna().tolist()
            assert mine.dropna().tolist() == theirs.dropna().tolist()
    queries = {data["photos"][query["photo"]]: query for query in data["queries"]}
    al, bo = data["individuals"].index("al"), data["individuals"].index("bo")
    truths = {name: query["truth"] for name, query in queries.items()}
    assert truths == {"q1.jpg": al, "q2.jpg": al, "q3.jpg": -1, NASTY: None, "v1.jpg": bo}
    proposed = {name: query["proposed"] for name, query in queries.items()}
    assert proposed == {"q1.jpg": None, "q2.jpg": None, "q3.jpg": "new_0001", NASTY: None, "v1.jpg": None}
    species = dict(zip(data["photos"], data["species"], strict=True))
    assert species == dict.fromkeys(IMAGES[:5], "killer whale") | {NASTY: "<i>", "v1.jpg": None}


def test_missing_probabilities_are_null(tmp_path: Path, crops: Crops) -> None:
    unsure = judged(TEST.answers.assign(probability=np.nan), TEST.truth)
    data = Page(_write(tmp_path / "r.html", crops, test=unsure, validation=EMPTY)).data
    assert {answer[2] for query in data["queries"] for answer in query["answers"]} == {None}


def test_nothing_is_fetched(tmp_path: Path, crops: Crops) -> None:
    text = _write(tmp_path / "r.html", crops)
    page = Page(text)
    assert not {tag for tag, _ in page.tags} & {"link", "iframe", "object", "base", "a", "embed"}
    sources = [attrs[key] for _, attrs in page.tags for key in ("src", "href", "srcset", "action") if key in attrs]
    assert PLOTS[0].figure is not None
    drawn = svg(PLOTS[0].figure, 'training "one"')
    assert sources == [f"data:image/svg+xml;base64,{base64.b64encode(drawn).decode()}"]
    policy = next(attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    # Originals that lie beside the page are shown, from its own place alone.
    assert {"default-src 'none'", "img-src data: file: 'self'"} <= {part.strip() for part in policy.split(";")}
    assert "url(" not in text
    assert "@import" not in text
    assert "innerHTML" not in text  # names become text nodes only


def test_nasty_names_stay_inside_the_json(tmp_path: Path, crops: Crops) -> None:
    text = _write(tmp_path / "r.html", crops)
    page = Page(text)
    assert NASTY in page.data["photos"]
    assert NASTY in page.data["individuals"]
    assert "evil.example" in text
    assert "<img src=http" not in text
    assert not any("onerror" in attrs for _, attrs in page.tags)
    assert text.count("<script") == text.count("</script>") == 3  # data, one block, code
    assert text.count("<!--") == 0
    assert {kind: len(found) for kind, found in page.scripts.items()} == {
        "application/json": 1,
        "text/plain": 1,
        "code": 1,
    }


def test_json_for_a_script_is_json_without_markup() -> None:
    value = {NASTY: ["é\u2028\u2029", None, 1.5]}
    text = script_json(value)
    assert json.loads(text) == value
    assert not set(text) & set("<>&\u2028\u2029")
    with pytest.raises(ValueError, match="not JSON compliant"):
        script_json(float("nan"))


def test_each_photo_once_and_small_and_never_enlarged(tmp_path: Path, crops: Crops) -> None:
    page = Page(_write(tmp_path / "r.html", crops, explained={}))
    assert sorted(page.data["photos"]) == sorted(set(IMAGES) - {"unused.jpg"})
    assert len(page.album) == len(page.data["photos"])
    for name, jpeg in zip(page.data["photos"], page.album, strict=True):
        number = IMAGES.index(name)
        with Image.open(io.BytesIO(jpeg)) as image:
            assert image.size == SMALL[number][::-1]
            assert image.getpixel((0, 0)) == pytest.approx((30 * number,) * 3, abs=3)


def test_photos_lie_in_blocks(tmp_path: Path, crops: Crops, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Page(_write(tmp_path / "r.html", crops))
    monkeypatch.setattr(report, "BLOCK", 4)
    page = Page(_write(tmp_path / "r.html", crops))
    assert page.data["block"] == 4
    assert [len(block) for block in page.blocks] == [4, 4, 3]  # seven photos, four heat maps
    assert page.album == whole.album


def test_heat_maps_are_found_by_the_numbers_of_their_photos(tmp_path: Path, crops: Crops) -> None:
    page = Page(_write(tmp_path / "r.html", crops, explained=EXPLAINED | {("q1.jpg", "unused.jpg"): (b"a", b"b")}))
    found = {}
    for key, number in page.data["heat"].items():
        query, match = (page.data["photos"][int(part)] for part in key.split(","))
        found[query, match] = (page.album[number], page.album[number + 1])
    assert found == EXPLAINED
    assert len(page.album) == 7 + 4


def test_same_bytes_twice_whatever_the_order_of_the_rows(tmp_path: Path, crops: Crops) -> None:
    first = _write(tmp_path / "one.html", crops)
    assert _write(tmp_path / "elsewhere.html", crops) == first
    shuffled = judged(TEST.answers.sample(frac=1, random_state=0), TEST.truth)
    assert not shuffled.answers.index.equals(TEST.answers.index)
    turned = dict(reversed(EXPLAINED.items()))
    assert _write(tmp_path / "r.html", crops, test=shuffled, explained=turned) == first
    changed = judged(TEST.answers.assign(score=TEST.answers["score"] - 0.001), TEST.truth)
    assert _write(tmp_path / "r.html", crops, test=changed) != first


def test_the_tables_of_metrics(tmp_path: Path, crops: Crops) -> None:
    text = _write(tmp_path / "r.html", crops)
    overall, species, gallery = Page(text).tables
    assert overall == [
        ["", "photos to identify (1234 queries)", "validation (7 queries)"],
        ["MAP@5", "0.750 (0.700 – 0.800)", "0.500 (0.250 – 0.750)"],
        ["<own>", "0.125", ""],
    ]
    assert species == [
        ["", "MAP@5", "right at first"],
        ["killer whale (5 queries)", "0.250 (0.200 – 0.300)", "0.350 (0.300 – 0.400)"],
        ["R&D (6 queries)", "1.000 (1.000 – 1.000)", ""],
    ]
    assert gallery == [["", "MAP@5"], ["3-5 (3 queries)", "0.450 (0.400 – 0.500)"]]
    assert "In brackets: 95 % intervals." in text
    assert text.count("<details><summary>By ") == 2
    assert "By species: photos to identify</summary>" in text
    assert "(threshold 0.432)" in " ".join(text.split())
    assert 'alt="training &#34;one&#34;"' in text


def test_metrics_without_intervals(tmp_path: Path, crops: Crops) -> None:
    bare = BREAKDOWN.assign(low=np.nan, high=np.nan)
    text = _write(tmp_path / "r.html", crops, breakdown=bare, plots=[], threshold=0.5)
    assert Page(text).tables[0][1] == ["MAP@5", "0.750", "0.500"]
    assert "intervals" not in text


@pytest.mark.parametrize(
    ("test", "validation", "queries"),
    [
        pytest.param(judged(TEST.answers, pd.Series(dtype=object)), EMPTY, 4, id="no truth, no validation"),
        pytest.param(EMPTY, VALIDATION, 1, id="nothing to identify"),
        pytest.param(EMPTY, EMPTY, 0, id="nothing at all"),
    ],
)
def test_with_less(tmp_path: Path, crops: Crops, test: Judged, validation: Judged, queries: int) -> None:
    empty = Report({"test": test, "validation": validation}, BREAKDOWN.iloc[:0], [], 0.5, PHOTOS, PROPOSED[:0], {})
    text = _write(tmp_path / "r.html", crops, empty)
    page = Page(text)
    assert len(page.data["queries"]) == queries
    assert len(page.album) == len(page.data["photos"])
    assert page.tables == []
    assert "<h2>Figures</h2>" not in text
    assert ("No photo was searched for." in text) == (queries == 0)
    assert any(attrs.get("id") == "filters" for _, attrs in page.tags) == (queries > 0)


def test_too_few_animals_to_tell_new_ones_are_said_before_the_answers(tmp_path: Path, crops: Crops) -> None:
    text = _write(tmp_path / "r.html", crops, too_few=True)
    banner = (
        '<p role="alert"><b>Too few animals to tell new ones.</b> The threshold below is a default, and no\nanswer '
    )
    assert text.index(banner) < text.index('<ol id="cards">')
    assert 'role="alert"' not in _write(tmp_path / "r.html", crops)


def test_answers_come_first_and_figures_after(tmp_path: Path, crops: Crops) -> None:
    text = _write(tmp_path / "r.html", crops)
    places = [
        text.index(mark) for mark in ('<dl id="summary">', '<ol id="cards">', "<h2>Metrics</h2>", "<h2>Figures</h2>")
    ]
    assert places == sorted(places)


def test_a_plot_that_is_not_drawn_is_explained(tmp_path: Path, crops: Crops) -> None:
    text = _write(tmp_path / "r.html", crops)
    assert "<h3>empty</h3><figcaption>Not drawn, because R&amp;D.</figcaption>" in text
    assert "<figcaption>Drawn of &lt;b&gt;two&lt;/b&gt;.</figcaption>" in text
    assert text.count("data:image/svg+xml") == 1


def test_the_summary_by_hand() -> None:
    assert summary({"test": TEST}, BREAKDOWN, PROPOSED) == [
        ("photos to identify", "4", ""),
        ("a known individual first", "3", "2 individuals"),
        ("called new", "1", "1 proposed individual"),
        ("surer than 90 %", "4", ""),
        ("less sure than 50 %", "0", "look at these first"),
    ]
    top1 = pd.DataFrame([("test", "all", "all", "top1", 0.5, 0.25, 0.75, 3)], columns=BREAKDOWN.columns)
    assert summary({"test": TEST}, top1, PROPOSED)[-1] == ("first answer right, of 3 known", "50 %", "25 to 75 %")
    unsure = judged(TEST.answers.assign(probability=np.nan), TEST.truth)
    assert len(summary({"test": unsure}, BREAKDOWN, PROPOSED)) == 3
    assert summary({"test": EMPTY}, BREAKDOWN, PROPOSED) == []


def test_fifty_thousand_rejects_are_a_few_lines(tmp_path: Path, crops: Crops) -> None:
    reasons = (
        ["truncated"] * 49_000
        + [f"{n} x {n} px: too small" for n in range(900)]
        + [f"odd {'x' * n}" for n in range(100)]
    )
    rejects = pd.DataFrame({"image": [f"<{n}>.jpg" for n in range(50_000)], "table": "", "reason": reasons})
    told = left_out(rejects)
    assert told["photos"] == 50_000
    assert told["kinds"][:2] == [
        ("truncated", "49,000", "<0>.jpg, <1>.jpg, <2>.jpg"),
        ("… x … px: too small", "900", "<49000>.jpg, <49001>.jpg, <49002>.jpg"),
    ]
    assert (len(told["kinds"]), told["further"]) == (20, 100 - 18)
    without = _write(tmp_path / "r.html", crops)
    text = _write(tmp_path / "r.html", crops, rejects=rejects)
    assert "50,000 photos, rows or boxes could not be used." in text
    assert "&lt;0&gt;.jpg" in text
    assert len(text) - len(without) < 10_000
    assert "Left out" not in without


def test_the_page_knows_where_originals_lie_and_where_the_animal_is(
    tmp_path: Path, crops: Crops, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenth of the box is shown around it, as far as the photo reaches."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "metrics").mkdir()
    photos = PHOTOS.assign(path="raw/a.jpg", width=100, height=50, encounter="E1")
    data = Page(_write(tmp_path / "metrics" / "r.html", boxed(crops), photos=photos)).data
    assert data["root"] == ".."
    assert set(data["paths"]) == {"raw/a.jpg"}
    assert set(data["encounters"]) == {"E1"}
    assert {tuple(place) for place in data["places"]} == {(0, 17, 83, 50, 100, 50)}
    bare = Page(_write(tmp_path / "metrics" / "r.html", crops)).data
    assert set(bare["paths"]) == set(bare["places"]) == set(bare["encounters"]) == {None}


def boxed(crops: Crops) -> Crops:
    """The same crops with a box each."""
    table = crops.index.assign(x_min=5.0, y_min=20.0, x_max=76.0, y_max=49.0)
    other = copy(crops)
    other.index = table
    return other


def test_without_javascript_it_says_so(tmp_path: Path, crops: Crops) -> None:
    assert "<noscript>" in _write(tmp_path / "r.html", crops)
