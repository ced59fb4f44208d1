"""Each bench runs at a tiny size and prints what it is there to tell."""

import os
import re
import subprocess
import sys
from pathlib import Path

from conftest import save_photo, scenery

ROOT = Path(__file__).parents[1]


def _printed(bench: str, *options: str) -> str:
    ran = subprocess.run(
        [sys.executable, f"bench/{bench}.py", *options],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": "src", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_search() -> None:
    told = _printed("search", "--scale", "0.02")
    assert "559 queries, 1021 photos of 312 individuals, 512 dimensions" in told
    assert told.count("same names 1.000000; fewer than five by the loop: 0 queries") == 2
    assert re.search(r"\(b\)/\(a\) \d", told)
    assert re.search(r"peak memory, GB: vectors drawn \d+\.\d+, ranked \d+\.\d+", told)
    assert len(re.findall(r"^(ivf|hnsw) .* [01]\.\d{3} +[01]\.\d{4}$", told, re.MULTILINE)) == 2


def test_threshold() -> None:
    told = _printed("threshold", "--draws", "2", "--fresh", "2000")
    assert re.findall(r"^ +(\d+) +\d\.\d+ ", told, re.MULTILINE) == ["150", "250", "600", "2000"]


def test_open_set(tmp_path: Path) -> None:
    names = [f"animal{n // 4}" for n in range(1200)]
    rows = [f"{n}.jpg,{'kiler_whale' if n % 8 < 4 else 'beluga'},{name}" for n, name in enumerate(names)]
    (tmp_path / "train.csv").write_text("\n".join(["image,species,individual_id", *rows]) + "\n")
    told = _printed("open_set", "--table", str(tmp_path), "--scale", "0.4", "--seeds", "2", "--variants")
    assert "263 test photos" in told
    assert re.search(r"^search \d+\.\d s, grouping \d+\.\d s, peak memory \d+\.\d\d GB$", told, re.MULTILINE)
    lines = re.findall(r"^([a-z_.: ]+): map5 0\.\d+ \(0\.\d+\), regret -?\d", told, re.MULTILINE)
    assert lines == ["params.yaml", "expected_new", "per_species", "both", "shares: fit"]


def test_fins(tmp_path: Path) -> None:
    rows = ["image,part,x_min,y_min,x_max,y_max"]
    for number in range(9):
        pixels = scenery(number, 96, 64).copy()
        pixels[10:40, 10:60] = (255, 0, 0)
        save_photo(tmp_path / "train_images" / f"{number}.jpg", pixels)
        rows.append(f"{number}.jpg,fin,10,10,60,40")
    (tmp_path / "boxes.csv").write_text("\n".join(rows) + "\n")
    changes = [option for change in ("image_size=32", "epochs=1", "lr=1e-3") for option in ("-S", change)]
    told = _printed("fins", str(tmp_path), "--folds", "3", "--first", "2", "--seed", "1", "--seed", "2", *changes)
    assert "9 photos in 9 groups, 9 boxes" in told
    lines = re.findall(
        r"^seed (\d), fold (\d): mAP50 \d\.\d+, mAP50-95 \d\.\d+ \((\d+) .* (\d+) to", told, re.MULTILINE
    )
    assert lines == [(seed, fold, "6", "3") for seed in "12" for fold in "01"]
    assert re.search(
        r"^mean and standard deviation of 4 trainings: mAP50 0\.\d+ \(0\.\d+\), mAP50-95 0", told, re.MULTILINE
    )
