"""Pairs matched: what is computed once, what is kept when a run is killed, what is written."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scenes import HEIGHT, SMALL, WIDTH, matched, scene, stored, turned

from finprint.keypoints import cache, pairs
from finprint.keypoints.networks import Networks
from finprint.keypoints.pairs import pair_score
from finprint.keypoints.tables import SecondLook, write_second_look
from finprint.pictures.shards import Crops

PICTURES = {
    "q.jpg": scene(1),
    "copy.jpg": turned(scene(1)),
    "far.jpg": turned(scene(1), 25, 0.7),
    "other.jpg": scene(2),
    "plain.jpg": np.full((HEIGHT, WIDTH, 3), 99, np.uint8),
}
NONE = pd.DataFrame()  # photos that nothing is cut from
COUPLES = [("q.jpg", "copy.jpg"), ("q.jpg", "far.jpg"), ("q.jpg", "other.jpg"), ("q.jpg", "plain.jpg")]


def _table(couples: list[tuple[str, str]] = COUPLES) -> pd.DataFrame:
    table = pd.DataFrame(couples, columns=["query", "match"])
    return table.assign(identity=table["match"].map({"copy.jpg": "al", "far.jpg": "al"}).fillna("bo"), cosine=0.5)


@pytest.fixture
def crops(tmp_path: Path) -> Crops:
    return stored(tmp_path / "crops", PICTURES)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often the networks were asked."""
    asked = {"features": 0, "match": 0}
    for name in asked:
        method = getattr(Networks, name)

        def counted(self: Networks, *given: object, name: str = name, method: object = method) -> object:
            asked[name] += 1
            return method(self, *given)  # type: ignore[operator]

        monkeypatch.setattr(Networks, name, counted)
    return asked


def _same(one: SecondLook, other: SecondLook) -> bool:
    return one.pairs.equals(other.pairs) and one.points.equals(other.points) and one.too_small == other.too_small


def test_sure_inliers_alone_count_by_hand() -> None:
    matches = np.zeros((4, 6), np.float32)
    matches[:, 4] = [0.9, 0.7, 0.3, 1.0]
    matches[:, 5] = [1, 1, 1, 0]  # the last one is no inlier
    assert pair_score(matches) == pytest.approx(0.4 + 0.2)
    assert pair_score(matches[:0]) == 0


def test_a_turned_copy_scores_best(crops: Crops) -> None:
    looked = matched(_table(), NONE, crops, SMALL)
    copy, far, other, plain = looked.pairs["score"]
    assert copy > far > 2 * other
    assert plain < 2
    assert (looked.pairs["inliers"] <= looked.pairs["matches"]).all()
    assert looked.pairs["inliers"][0] > 0.8 * looked.pairs["matches"][0]
    assert looked.too_small == []


def test_the_points_of_each_individual_s_best_pair(crops: Crops) -> None:
    looked = matched(_table(), NONE, crops, SMALL)
    drawn = looked.points[looked.points["match"] == "copy.jpg"]
    assert set(looked.points["match"]) <= {"copy.jpg", "other.jpg", "plain.jpg"}  # far.jpg is not al's best
    assert len(drawn) == looked.pairs["matches"][0]
    sure = (drawn["score"] - 0.5).clip(lower=0)[drawn["inlier"]]
    assert sure.sum() == pytest.approx(looked.pairs["score"][0], rel=1e-5)
    assert drawn["inlier"].sum() == looked.pairs["inliers"][0]
    centre = np.array([WIDTH, HEIGHT]) / 2
    turn = np.deg2rad(12)
    matrix = 0.9 * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    expected = (drawn[["x", "y"]].to_numpy() * (WIDTH, HEIGHT) - centre) @ matrix.T + centre
    off = np.linalg.norm(drawn[["match_x", "match_y"]].to_numpy() * (WIDTH, HEIGHT) - expected, axis=1)
    assert np.mean(off < 5) > 0.8


def test_either_order_is_one_pair(crops: Crops, work: dict[str, int]) -> None:
    there = matched(_table([("q.jpg", "far.jpg")]), NONE, crops, SMALL)
    back = matched(_table([("far.jpg", "q.jpg")]), NONE, crops, SMALL)
    assert work == {"features": 2, "match": 1}
    assert back.pairs["score"][0] == there.pairs["score"][0]
    columns = ["x", "y", "match_x", "match_y"]
    assert (back.points[columns].to_numpy() == there.points[[*columns[2:], *columns[:2]]].to_numpy()).all()


def test_nothing_is_computed_twice(crops: Crops, work: dict[str, int], capsys: pytest.CaptureFixture[str]) -> None:
    first = matched(_table(COUPLES[:2]), NONE, crops, SMALL)
    assert work == {"features": 3, "match": 2}
    assert "matched before" not in capsys.readouterr().out
    assert _same(matched(_table(COUPLES[:2]), NONE, crops, SMALL), first)
    assert work == {"features": 3, "match": 2}
    matched(_table(), NONE, crops, SMALL)
    assert work == {"features": 5, "match": 4}
    assert "2 of 4 pairs were matched before" in capsys.readouterr().out
    # What was looked at before under other names and in another order is known by its content.
    renamed = stored(crops_folder(crops).with_name("renamed"), {f"r-{name}": p for name, p in PICTURES.items()})
    other = _table().assign(query=lambda t: "r-" + t["query"], match=lambda t: "r-" + t["match"])
    matched(other[::-1].reset_index(drop=True), NONE, renamed, SMALL)
    assert work == {"features": 5, "match": 4}


def crops_folder(crops: Crops) -> Path:
    """A folder beside which others may lie."""
    return Path(os.environ["DVC_ROOT"]) / "crops"


@pytest.mark.parametrize("change", [{"keypoints": 32}, {"image_size": 160}, {"extractor": "xfeat"}])
def test_other_settings_are_other_work(crops: Crops, work: dict[str, int], change: dict[str, int]) -> None:
    matched(_table(COUPLES[:1]), NONE, crops, SMALL)
    matched(_table(COUPLES[:1]), NONE, crops, SMALL.model_copy(update=change))
    assert work == {"features": 4, "match": 2}
    kept = [path.name for path in Path(os.environ["DVC_ROOT"], ".cache", "match").iterdir() if path.is_dir()]
    assert len(kept) == 1  # that of the last settings


def test_the_shortlist_s_length_is_no_such_setting(crops: Crops, work: dict[str, int]) -> None:
    matched(_table(COUPLES[:1]), NONE, crops, SMALL)
    matched(_table(COUPLES[:1]), NONE, crops, SMALL.model_copy(update={"individuals": 9, "photos": 9}))
    assert work == {"features": 2, "match": 1}


def test_same_bytes_with_any_number_of_threads(tmp_path: Path, crops: Crops, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, count in (("one", 1), ("other", 3)):
        monkeypatch.setenv("DVC_ROOT", str(tmp_path / folder))
        torch.set_num_threads(count)
        write_second_look(tmp_path / folder / "match", matched(_table(), NONE, crops, SMALL))
        assert torch.get_num_threads() == count
    for name in ("pairs.parquet", "points.parquet", "compared.parquet"):
        assert (tmp_path / "one" / "match" / name).read_bytes() == (tmp_path / "other" / "match" / name).read_bytes()


def test_an_interrupted_run_goes_on(
    tmp_path: Path,
    crops: Crops,
    work: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(pairs, "match", _third_fails(pairs.match))
        with pytest.raises(KeyboardInterrupt):
            matched(_table(), NONE, crops, SMALL)
    work.update(features=0, match=0)
    resumed = matched(_table(), NONE, crops, SMALL)
    assert work == {"features": 0, "match": 2}
    assert "2 of 4 pairs were matched before" in capsys.readouterr().out
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "afresh"))
    assert _same(matched(_table(), NONE, crops, SMALL), resumed)


def _third_fails(method: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    calls = iter(range(100))

    def match(*given: object) -> np.ndarray:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return method(*given)

    return match


KILLED = """
import time
from pathlib import Path
from scenes import SMALL, matched
from test_pairs import NONE, _table
from finprint.keypoints import cache, pairs
from finprint.pictures.shards import Crops
cache.PERIOD = 0.0
slow = pairs.match
def match(*given):
    time.sleep(0.3)
    return slow(*given)
pairs.match = match
print("ready", flush=True)
matched(_table(), NONE, Crops(Path({crops!r})), SMALL)
"""


def test_a_killed_run_loses_little_and_ends_with_the_same_bytes(
    tmp_path: Path, crops: Crops, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = Path(__file__).parent
    root = here.parents[1]
    env = os.environ | {"PYTHONPATH": f"{root / 'src'}:{here}:{here.parent}", "OMP_NUM_THREADS": "1"}
    code = KILLED.format(crops=str(tmp_path / "crops"))
    killed = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True)
    kept = Path(os.environ["DVC_ROOT"], ".cache", "match")
    deadline = time.monotonic() + 120
    while len(list(kept.glob("*/pairs/*"))) < 2 and time.monotonic() < deadline:
        assert killed.poll() is None
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    resumed = matched(_table(), NONE, crops, SMALL)
    assert "of 4 pairs were matched before" in capsys.readouterr().out
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "afresh"))
    assert _same(matched(_table(), NONE, crops, SMALL), resumed)


def test_a_damaged_cache_heals(crops: Crops, work: dict[str, int]) -> None:
    first = matched(_table(), NONE, crops, SMALL)
    for path in Path(os.environ["DVC_ROOT"], ".cache", "match").glob("*/*/*"):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert _same(matched(_table(), NONE, crops, SMALL), first)
    assert work == {"features": 10, "match": 8}


def test_photos_too_small_get_no_score(tmp_path: Path) -> None:
    tiny = {"tiny.jpg": scene(1)[:31], "narrow.jpg": np.repeat(scene(1)[:40], 8, axis=1)}
    crops = stored(tmp_path / "small", {"q.jpg": scene(1), **tiny, "copy.jpg": turned(scene(1))})
    looked = matched(
        _table([("q.jpg", "tiny.jpg"), ("narrow.jpg", "q.jpg"), ("q.jpg", "copy.jpg")]), NONE, crops, SMALL
    )
    assert looked.too_small == ["narrow.jpg", "tiny.jpg"]
    assert looked.pairs["score"].isna().tolist() == [True, True, False]
    assert looked.pairs["matches"].isna().tolist() == [True, True, False]
    assert set(looked.points["match"]) == {"copy.jpg"}
    assert looked.metrics() == {"queries": 2, "pairs": 3, "matched_pairs": 1, "too_small": 2}


def test_an_empty_table(crops: Crops) -> None:
    looked = matched(_table([]), NONE, crops, SMALL)
    assert len(looked.pairs) == len(looked.points) == 0


def test_progress_is_saved_in_time(crops: Crops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "PERIOD", 0.0)
    chunks = []
    add = cache.Kept.add
    monkeypatch.setattr(cache.Kept, "add", lambda self, made: (chunks.append(len(made)), add(self, made)))
    matched(_table(), NONE, crops, SMALL)
    assert [count for count in chunks if count] == [1] * 9  # five crops, four pairs
