"""The report: one page without a network that marks right and wrong, and is the same twice."""

import base64
import io
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from finprint.evaluation import Judged
from finprint.images import encode_jpeg
from finprint.report import THUMBNAIL, Figures, write_report
from finprint.shards import INDEX, Crops, write_shard
from finprint.tables import CROPS, NEW, write_table

NASTY = '<img src=http://evil.example onerror="x">&.jpg'
IMAGES = ["g1.jpg", "g2.jpg", "q1.jpg", "q2.jpg", "q3.jpg", NASTY, "v1.jpg"]
METRICS = {
    "validation": {"queries": 1, "map5": 0.5},
    "test": {"queries": 3, "map5": 0.75, "top1": 2 / 3},
    "round1": {"validation": {"queries": 1, "map5": 0.25}},
}
FIGURES = Figures(METRICS, [("training", b"PNG one")], 0.4321)


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Crops:
    folder = tmp_path_factory.mktemp("crops")
    pixels = [np.full((200 if n else 60, 300, 3), 30 * n, np.uint8) for n in range(len(IMAGES))]
    places = write_shard(folder / "0.tar", [(f"{n}.jpg", encode_jpeg(p, 92)) for n, p in enumerate(pixels)])
    table = pd.DataFrame({"image": IMAGES, "part": "whole", "confidence": 0.0, "shard": "0.tar"})
    table = table.assign(x_min=0.0, y_min=0.0, x_max=1.0, y_max=1.0)
    table["offset"], table["length"] = [place[0] for place in places], [place[1] for place in places]
    write_table(folder / INDEX, table, CROPS)
    return Crops(folder)


def _answers(rows: dict[str, list[str]]) -> pd.DataFrame:
    flat = [
        (query, place + 1, name, 0.9 - 0.1 * place, None if name == NEW else f"g{1 + place % 2}.jpg")
        for query, names in rows.items()
        for place, name in enumerate(names)
    ]
    return pd.DataFrame(flat, columns=["query", "rank", "identity", "score", "match"])


TEST = Judged(
    _answers({"q1.jpg": ["al", NEW, "bo"], "q2.jpg": ["bo", "al"], "q3.jpg": [NEW, "al"], NASTY: ["al", "bo"]}),
    pd.Series({"q1.jpg": "al", "q2.jpg": "al", "q3.jpg": NEW}),
)
VALIDATION = Judged(_answers({"v1.jpg": ["bo", "al"]}), pd.Series({"v1.jpg": "bo"}))
PHOTOS = pd.DataFrame({"image": IMAGES, "species": ["killer_whale"] * 6 + [None]}).astype("string")


class Page(HTMLParser):
    """All tags and attributes, and the sheets: for each the figures' classes and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.sheets: list[list[tuple[str, str]]] = []
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if found.get("class") == "sheet":
            self.sheets.append([])
        if tag == "figure":
            self.sheets[-1].append((found["class"] or "", ""))
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "figure"

    def handle_data(self, data: str) -> None:
        if self._inside:
            kind, text = self.sheets[-1][-1]
            self.sheets[-1][-1] = (kind, " ".join(f"{text} {data}".split()))


def _write(
    path: Path, crops: Crops, test: Judged = TEST, validation: Judged = VALIDATION, sheets: int = 10, seed: int = 0
) -> str:
    write_report(path, FIGURES, test, validation, PHOTOS, crops, sheets, seed)
    return path.read_text(encoding="utf-8")


def test_nothing_is_fetched(tmp_path: Path, crops: Crops) -> None:
    text = _write(tmp_path / "r.html", crops)
    page = Page(text)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "base", "a", "form"}
    sources = [
        attrs[key] for _, attrs in page.tags for key in ("src", "href", "srcset", "data", "action") if key in attrs
    ]
    assert len(sources) > 10
    assert all(source is not None and source.startswith("data:image/") for source in sources)
    assert "url(" not in text
    assert "@import" not in text


def test_right_and_wrong_are_marked(tmp_path: Path, crops: Crops) -> None:
    sheets = {sheet[0][1].split()[0]: sheet for sheet in Page(_write(tmp_path / "r.html", crops)).sheets}
    query, *answers = sheets["q1.jpg"]
    assert query == ("right", "q1.jpg killer whale is al ✓")
    assert answers == [("right", "1. al ✓ 0.900"), ("query", "a new individual 2. new 0.800"), ("query", "3. bo 0.700")]
    query, *answers = sheets["q2.jpg"]
    assert query == ("wrong", "q2.jpg killer whale is al ✗")
    assert answers == [("query", "1. bo 0.900"), ("right", "2. al ✓ 0.800")]
    query, *answers = sheets["q3.jpg"]
    assert query == ("right", "q3.jpg killer whale is new ✓")
    assert answers[0] == ("right", "a new individual 1. new ✓ 0.900")
    assert sheets["v1.jpg"][0] == ("right", "v1.jpg is bo ✓")  # nobody knows its species


def test_a_nasty_name_is_text_and_an_unknown_truth_is_neither_right_nor_wrong(tmp_path: Path, crops: Crops) -> None:
    text = _write(tmp_path / "r.html", crops)
    page = Page(text)
    assert "<img src=http" not in text
    assert not any("onerror" in attrs for _, attrs in page.tags)
    assert any(attrs.get("alt") == NASTY for _, attrs in page.tags)
    sheet = next(sheet for sheet in page.sheets if sheet[0][1].startswith("<img"))
    assert [kind for kind, _ in sheet] == ["query", "query", "query"]
    assert sheet[0][1] == f"{NASTY} killer whale"
    assert all("✓" not in words and "✗" not in words for _, words in sheet)


def test_names_of_individuals_are_escaped_too(tmp_path: Path, crops: Crops) -> None:
    text = _write(tmp_path / "r.html", crops, Judged(_answers({"q1.jpg": ["<b>al</b>"]}), pd.Series(dtype=object)))
    assert "<b>al</b>" not in text
    assert "&lt;b&gt;al&lt;/b&gt;" in text


def test_same_bytes_twice_and_another_seed_another_order(tmp_path: Path, crops: Crops) -> None:
    first = _write(tmp_path / "one.html", crops)
    assert (tmp_path / "one.html").read_bytes() == _write(tmp_path / "elsewhere.html", crops).encode()
    orders = {seed: [s[0][1] for s in Page(_write(tmp_path / "r.html", crops, seed=seed)).sheets] for seed in range(5)}
    assert len({tuple(order) for order in orders.values()}) > 1
    assert sorted(orders[0]) == sorted(orders[1])
    shuffled = Judged(TEST.answers.sample(frac=1, random_state=0), TEST.truth)
    assert _write(tmp_path / "r.html", crops, shuffled) == first


def test_thumbnails_are_the_crops_made_small_and_never_enlarged(tmp_path: Path, crops: Crops) -> None:
    page = Page(_write(tmp_path / "r.html", crops))
    sizes = {}
    for tag, attrs in page.tags:
        source = attrs.get("src") or ""
        if tag == "img" and source.startswith("data:image/jpeg;base64,"):
            with Image.open(io.BytesIO(base64.b64decode(source.split(",", 1)[1]))) as image:
                sizes[attrs["alt"]] = (image.size, image.getpixel((5, 5)))
    assert sizes["q1.jpg"][0] == (180, THUMBNAIL)
    assert sizes["g1.jpg"][0] == (300, 60)
    assert sizes["q1.jpg"][1] == pytest.approx((60, 60, 60), abs=3)  # the third crop


# Seven queries, three of them answered wrongly.
@pytest.mark.parametrize(
    ("sheets", "wrong", "right"), [(0, 0, 0), (1, 0, 1), (2, 1, 1), (5, 2, 3), (7, 3, 4), (99, 3, 4)]
)
def test_mistakes_come_first_up_to_half_of_the_sheets(
    tmp_path: Path, crops: Crops, sheets: int, wrong: int, right: int
) -> None:
    truth = pd.Series({image: "bo" if n % 2 else "al" for n, image in enumerate(IMAGES)})
    judged = Judged(_answers({image: ["al", "bo"] for image in IMAGES}), truth)
    empty = Judged(TEST.answers.iloc[:0], pd.Series(dtype=object))
    found = Page(_write(tmp_path / "r.html", crops, judged, empty, sheets)).sheets
    assert [sheet[0][0] for sheet in found] == ["wrong"] * wrong + ["right"] * right


def test_the_table_of_figures(tmp_path: Path, crops: Crops) -> None:
    text = _write(tmp_path / "r.html", crops)
    assert "<th>after round 1, validation</th><th>after round 2, validation</th><th>after round 2, test</th>" in text
    assert "<tr><td>map5</td><td>0.250</td><td>0.500</td><td>0.750</td></tr>" in text
    assert "<tr><td>top1</td><td></td><td></td><td>0.667</td></tr>" in text
    assert "<tr><td>queries</td><td>1</td><td>1</td><td>3</td></tr>" in text
    assert "(0.432, a cosine)" in " ".join(text.split())
    assert f'src="data:image/png;base64,{base64.b64encode(b"PNG one").decode()}"' in text


def test_a_part_without_answers_is_left_out(tmp_path: Path, crops: Crops) -> None:
    empty = Judged(TEST.answers.iloc[:0], pd.Series(dtype=object))
    text = _write(tmp_path / "r.html", crops, empty)
    assert "<h2>Validation</h2>" in text
    assert "<h2>Photos to identify</h2>" not in text
    assert Page(_write(tmp_path / "r.html", crops, empty, empty)).sheets == []
