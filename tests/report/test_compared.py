"""The page of two experiments side by side: figures of both in their places, text shown as text, no network."""

import base64
import re
from pathlib import Path

import pandas as pd

from finprint.report.compared import write_compared

ROW = {"split": "test", "metric": "map5", "a": 0.5, "b": 0.625, "difference": 0.125, "low": -0.01, "high": 0.26}


def _page(tmp_path: Path, *figures: dict[str, bytes], name: str = "slower") -> str:
    table = pd.DataFrame([ROW | {"p": 0.0612, "queries": 40}])
    write_compared(tmp_path / "page.html", ("HEAD", name), table, list(figures))
    return (tmp_path / "page.html").read_text(encoding="utf-8")


def test_each_figure_stands_on_the_side_of_its_experiment(tmp_path: Path) -> None:
    page = _page(tmp_path, {"answers": b"one", "training": b"two"}, {"answers": b"three", "calibration": b"four"})
    shown = re.findall(r'<img alt="(\w+) of (\w+)" src="data:image/png;base64,([^"]+)">', page)
    assert [(title, name, base64.b64decode(image)) for title, name, image in shown] == [
        ("answers", "HEAD", b"one"),
        ("answers", "slower", b"three"),
        ("training", "HEAD", b"two"),
        ("calibration", "slower", b"four"),
    ]
    assert page.count("This run has no such figure in the cache here.") == 2
    cells = re.findall(r"<td>([^<\n]+)", page)
    assert cells == ["test", "map5", "0.500", "0.625", "+0.125", "-0.010 to +0.260", "0.0612", "40"]


def test_no_figures_and_names_with_markup(tmp_path: Path) -> None:
    page = _page(tmp_path, {}, {}, name="<script>alert(1)</script>")
    assert "Neither run has figures" in page
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert not re.search(r"(?:src|href)=", page)  # nothing is fetched
