"""Each bench runs at a tiny size and prints what it is there to tell."""

import importlib
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL_TRAIN, SurveyFolder, save_photo, scenery
from finished import Project

from finprint.base.cli import guard, run

ROOT = Path(__file__).parents[1]
PLAIN = ("classes", "imagine")  # whose main reads its options itself
UNTRAINED = (f"train.backbone={SMALL_TRAIN.backbone}", "train.weights=none")
Printed = Callable[..., str]


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Printed:
    """What a bench prints. It runs in this process, because the imports of a new one take longer than the bench."""
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("DVC_ROOT", str(ROOT))  # a bench may set it; afterwards it is as it was

    def call(bench: str, *options: str) -> str:
        module = importlib.import_module(bench)
        monkeypatch.setattr(sys, "argv", [f"bench/{bench}.py", *options])
        start, code = guard if bench in PLAIN else run, None
        try:
            with warnings.catch_warnings(action="default"):  # as in a process of its own
                start(module.main)
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr()
        assert not code, said.err
        return said.out

    return call


def _alone(bench: str, *options: str) -> str:
    """What a bench prints that measures its own process."""
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
    told = _alone("search", "--scale", "0.02")
    assert "559 queries, 1021 photos of 312 individuals, 512 dimensions" in told
    assert told.count("same names 1.000000; fewer than five by the loop: 0 queries") == 2
    assert re.search(r"\(b\)/\(a\) \d", told)
    assert re.search(r"peak memory, GB: vectors drawn \d+\.\d+, ranked \d+\.\d+", told)
    assert len(re.findall(r"^(ivf_sq8|ivf_pq) .* [01]\.\d{3} +[01]\.\d{4}$", told, re.MULTILINE)) == 2


def test_scale() -> None:
    told = _alone("scale", "--photos", "3000", "--queries", "40", "--kinds", "flat", "--limit", "1")
    assert "40 queries, 3000 photos, 512 dimensions, 1 threads" in told
    assert re.search(
        r"^flat +\d+\.\d +\d+\.\d +\d+\.\d\d +\d+\.\d\d +0\.\d\d +1\.000 +1\.000 +1\.000$", told, re.MULTILINE
    )


def test_threshold(printed: Printed) -> None:
    told = printed("threshold", "--draws", "2", "--fresh", "2000")
    assert re.findall(r"^ +(\d+) +\d\.\d+ ", told, re.MULTILINE) == ["150", "250", "600", "2000"]


def test_open_set(tmp_path: Path) -> None:
    names = [f"animal{n // 4}" for n in range(1200)]
    rows = [f"{n}.jpg,{'kiler_whale' if n % 8 < 4 else 'beluga'},{name}" for n, name in enumerate(names)]
    (tmp_path / "train.csv").write_text("\n".join(["image,species,individual_id", *rows]) + "\n")
    told = _alone("open_set", "--table", str(tmp_path), "--scale", "0.4", "--seeds", "2", "--variants")
    assert "263 test photos" in told
    assert re.search(r"^search \d+\.\d s, grouping \d+\.\d s, peak memory \d+\.\d\d GB$", told, re.MULTILINE)
    lines = re.findall(r"^([a-z_.: ]+): map5 0\.\d+ \(0\.\d+\), regret -?\d", told, re.MULTILINE)
    assert lines == ["params.yaml", "expected_new", "per_species", "both", "shares: fit"]


def test_identify(project: Project, printed: Printed) -> None:
    told = printed("identify", str(project.bundle), str(project.queries), "--count", "6", "--repeats", "1")
    assert re.search(r"^6 photos, \d+ threads, load ", told, re.MULTILINE)
    assert re.search(r"^photos/s: crop and embed alone [\d.]+, identify [\d.]+, share \d\.\d\d$", told, re.MULTILINE)
    assert re.search(r"^one photo: first answer after [\d.]+ s, end of the command after ", told, re.MULTILINE)


def test_throughput() -> None:
    small = ("--set", "train.image_size=32", "--set", "train.first_size=32", "--set", "train.batch=8")
    told = _alone("throughput", "--photos", "64", "--repeats", "1", *small)
    ready = r"photos/s \(of bare\): bare \d+ \(1.00\), "
    slower = r"bare, float32 \d+ \(\d+\.\d+\), bare, PyTorch's bfloat16 \d+ \(\d+\.\d+\), "
    assert re.search(rf"^training, {ready}{slower}finprint \d+ ", told, re.MULTILINE), told
    for kind in ("float32", "bfloat16", "bfloat16, mirror images too"):
        line = rf"^embedding, {kind}, {ready}bare, norms fused \d+ \(\d+\.\d+\), finprint \d+ "
        assert re.search(line, told, re.MULTILINE), told


def test_throughput_of_classes() -> None:
    small = ("--set", "classify.image_size=32", "--set", "classify.first_size=32", "--set", "classify.batch=8")
    told = _alone("throughput", "--classes", "--photos", "64", "--repeats", "1", *small)
    ready = r"photos/s \(of bare\): bare \d+ \(1.00\), "
    assert re.search(rf"^training of classes, {ready}finprint \d+ ", told, re.MULTILINE), told
    assert re.search(
        rf"^guessing, bfloat16, by two views each, {ready}bare, norms fused \d+ \(\d+\.\d+\), finprint \d+ ",
        told,
        re.MULTILINE,
    )


def _twenty_animals(root: Path) -> SurveyFolder:
    """A survey of twenty animals with five photos each."""
    folder = SurveyFolder(root / "survey")
    folder.train(*(f"{animal}_{met}.jpg,orca,A{animal}," for animal in range(20) for met in range(5)))
    return folder


def _set(*pairs: str) -> list[str]:
    """The options that change params.yaml."""
    return [part for pair in pairs for part in ("--set", pair)]


def test_ablation(tmp_path: Path, printed: Printed) -> None:
    """A bench that was interrupted goes on: what is done is not done again."""
    folder = _twenty_animals(tmp_path)
    small = (
        "train.image_size=32",
        "train.first_size=32",
        "train.epochs=1",
        *UNTRAINED,
        "prepare.new_share=0.4",
    )
    options = [*_set(*small), "--share", "1", "--out", str(tmp_path / "a.csv")]
    told = printed("ablation", str(folder.root), "--seeds", "1", "--only", "one cycle", *options)
    assert len(re.findall(r"^(as it is|one cycle), seed 0: MAP@5 0\.\d+, ", told, re.MULTILINE)) == 2
    more = printed("ablation", str(folder.root), "--seeds", "2", "--only", "one cycle", *options)
    assert len(re.findall(r"^(as it is|one cycle), seed 1: MAP@5 0\.\d+, ", more, re.MULTILINE)) == 2
    assert "seed 0:" not in more
    assert re.search(r"^\| one cycle \| 0\.\d{3} \| [+-]0\.\d{3} \|", more, re.MULTILINE)


def test_rounds(tmp_path: Path, printed: Printed) -> None:
    folder = _twenty_animals(tmp_path)
    small = ("train.image_size=32", "train.first_size=32", "train.epochs=1", "prepare.new_share=0.4", *UNTRAINED)
    options = [*_set(*small), "--share", "1", "--out", str(tmp_path / "r.csv")]
    ways = ("--only", "hard, 0.9", "--only", "no pseudo-labels, a fold left out")
    told = printed("rounds", str(folder.root), "--seeds", "1", *ways, *options)
    map5 = r"0\.\d{3}"
    for way in ("round 1", "no pseudo-labels, a fold left out"):
        line = rf"^\| {way} \| {map5} \| [+-]{map5} \| [+-]{map5} \| {map5} \|"
        assert re.search(line, told, re.MULTILINE), told


def test_second_look(tmp_path: Path, printed: Printed) -> None:
    folder = _twenty_animals(tmp_path)
    small = ("crop.whole=[0,0,1,1]", "match.image_size=64", "prepare.new_share=0.4")
    options = [*_set(*small), "--share", "1", "--only", "XFeat, 512"]
    told = printed("second_look", str(folder.root), "--epochs", "0", "--queries", "9", "--rate", "9", *options)
    assert re.search(r"^9 queries, \d of animals in the gallery, ", told, re.MULTILINE), told
    for way in ("cosine", r"XFeat, 512 \(\d+ s\)", "XFeat, 512, and cosine"):
        assert re.search(rf"^\| {way} \| [01]\.\d{{3}} \| [01]\.\d{{3}} \| ", told, re.MULTILINE), told
    rates = r"[\d.]+ crops/s \(\d\.\d\d of the bare network's [\d.]+\), [\d.]+ pairs/s \(\d\.\d\d of"
    assert re.search(rf"^XFeat, 512: {rates}", told, re.MULTILINE), told


def test_catalogues(tmp_path: Path, printed: Printed) -> None:
    folder = _twenty_animals(tmp_path)
    folder.photos("q.jpg", split="test")
    small = ("train.image_size=32", "train.first_size=32", "train.epochs=1", "prepare.new_share=0.4", "train.batch=4")
    small = (*small, "match.image_size=64", "match.keypoints=64", *UNTRAINED)
    options = [*_set(*small), "--out", str(tmp_path / "c.csv")]
    recipes = ("--only", "start", "--only", "params.yaml as it is", "--only", "viewpoints as classes")
    told = printed("catalogues", str(folder.root), "--minutes", "1", *recipes, *options)
    assert "survey: detector.enabled False, crop.boxes_from detector, " in told
    for recipe in recipes[1::2]:
        line = rf"^\| survey \| {recipe} \| 0\.\d{{3}} \| 0\.\d{{3}} \| [01]\.\d{{3}} \| [01]\.\d{{3}} \| \d+\.\d \|$"
        assert re.search(line, told, re.MULTILINE), told


def test_crop() -> None:
    told = _alone("crop", "--count", "6", "--width", "1200", "--height", "900", "--repeats", "1")
    assert re.search(r"^6 photos of 1200 x 900 px, 0\.\d MB each, \d+ processes or threads$", told, re.MULTILINE)
    assert len(re.findall(r" photos/s   over the better of \(a\), \(b\) \d+\.\d\d$", told, re.MULTILINE)) == 5
    assert sum(int(count) for count in re.findall(r"^1/\d +(\d+) ", told, re.MULTILINE)) == 6
    least = re.search(r"full decode's, pixels: least (\d+\.\d) dB", told)
    assert least
    assert float(least[1]) > 40


def test_crop_memory() -> None:
    told = _alone("crop", "--memory", "60", "--memory", "90")
    counts = re.findall(r"^(\d+) photos: \d+\.\d s, peak memory \d+ MB before, \d+ MB after$", told, re.MULTILINE)
    assert counts == ["60", "160", "90", "190"]
    assert "60 of 160 photos were cropped before, 100 to crop" in told


def test_fins(tmp_path: Path, printed: Printed) -> None:
    rows = ["image,part,x_min,y_min,x_max,y_max"]
    for number in range(9):
        pixels = scenery(number, 96, 64).copy()
        pixels[10:40, 10:60] = (255, 0, 0)
        save_photo(tmp_path / "train_images" / f"{number}.jpg", pixels)
        rows.append(f"{number}.jpg,fin,10,10,60,40")
    (tmp_path / "boxes.csv").write_text("\n".join(rows) + "\n")
    changes = [option for change in ("image_size=32", "epochs=1", "lr=1e-3") for option in ("-S", change)]
    told = printed(
        "fins", str(tmp_path), "--folds", "3", "--fold", "0", "--fold", "2", "--seed", "1", "--seed", "2", *changes
    )
    assert "9 photos in 9 groups, 9 boxes" in told
    lines = re.findall(
        r"^seed (\d), fold (\d): mAP50 \d\.\d+, mAP50-95 \d\.\d+ \((\d+) .* (\d+) to", told, re.MULTILINE
    )
    assert lines == [(seed, fold, "6", "3") for seed in "12" for fold in "02"]
    assert re.search(
        r"^mean and standard deviation of 4 trainings: mAP50 0\.\d+ \(0\.\d+\), mAP50-95 0", told, re.MULTILINE
    )


def test_duplicates(tmp_path: Path, printed: Printed) -> None:
    for number in range(8):
        save_photo(tmp_path / f"{number}.jpg", scenery(number, 320, 240))
    told = printed("duplicates", str(tmp_path), "--photos", "5")
    rows = re.findall(r"^(\S+) +(\d+) +(\d+\.\d\d)% ", told, re.MULTILINE)
    assert [row[0] for row in rows] == [size for size in ("1/3", "1/2", "2/3", "3/4", "1") for _ in range(3)]
    assert {row[2] for row in rows if row[1] != "30"} == {"100.00"}
    assert "28 pairs of the 8 photos as they are: 0 joined, fewest bits " in told


def _three_kinds(folder: Path) -> None:
    for kind in range(3):
        for number in range(18):
            pixels = scenery(100 * kind + number, 64, 48) // 2 + np.uint8(40 * kind)
            save_photo(folder / f"kind{kind}" / f"{number}.jpg", pixels)


def test_imagine(tmp_path: Path, printed: Printed) -> None:
    _three_kinds(tmp_path / "photos")
    changes = ["imagine.steps=2", "imagine.channels=2", "classify.image_size=32", "classify.weights=none"]
    options = _set(*changes)
    told = printed("imagine", str(tmp_path / "photos"), "--made", "4", "--keep", str(tmp_path / "kept"), *options)
    lines = re.findall(r"^(\d+) made .*: log loss \d+\.\d+ ± 0.000, top-1 \d\.\d+ ± 0.000, \d+ s", told, re.MULTILINE)
    assert lines == ["0", "4"]
    assert (tmp_path / "kept/0-4/sheet.png").exists()


def test_classes(tmp_path: Path, printed: Printed) -> None:
    _three_kinds(tmp_path)
    options = ("--epochs", "1", "--side", "32", "--weights", "none", "--together", "--against", "guess.views=plain")
    told = printed("classes", str(tmp_path), *options)
    assert re.search(r"^\d+ photos of 3 classes to learn from, \d+ to judge$", told, re.MULTILINE), told
    gap = r"([+-]\d+\.\d{3}) \(\3\)"  # the mean of one fold is the fold's
    lines = re.findall(
        r"^([a-z -]+(?:, [a-z =.-]+)*): log_loss (\d+\.\d+), top1 \d\.\d+, voted \d+\.\d+"
        rf"(?:; log_loss {gap}; top1 [+-]\d+\.\d{{3}} \(.*\))?, \d+ s$",
        told,
        re.MULTILINE,
    )
    ours = ["finprint, frozen features", "finprint, fine-tuning"]
    by_name = ["scikit-learn, frozen features", ours[0], "plain fine-tuning", ours[1]]
    assert [name for name, *_ in lines] == [*by_name, *(f"{name}, guess.views=plain" for name in ours)]
    first, *others = lines
    assert not first[2]
    assert all(abs(float(loss) - float(first[1]) - float(apart)) < 0.002 for _, loss, apart in others)
    both = r"^finprint, frozen features \+ finprint, fine-tuning, (mean|geometric|majority): log_loss \d+\.\d+, top1 "
    assert re.findall(both, told, re.MULTILINE) == ["mean", "geometric", "majority"]
    fitted = both.replace("majority):", "majority) with fitted shares:")
    assert re.findall(fitted, told, re.MULTILINE) == ["mean", "geometric"]


def test_lessons(project: Project, printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finprint.keypoints.lessons.FEWEST", 2)
    data = str(project.root / "data")
    settings = ["match.extractor=xfeat", "match.pixels=crops", "match.keypoints=64", "match.learn_epochs=1"]
    told = printed("lessons", data, "--few", "9", *_set(*settings))
    shares = r"right [01]\.\d{3} \((?:[01]\.\d{3} ?){5}\), loss \d\.\d{3} .*; \d+ lessons"
    for way in ("all matches alike", "one network, mean of 5", "5 networks together"):
        assert re.search(rf"^{way}: {shares}$", told, re.MULTILINE)


def test_rules(project: Project, printed: Printed) -> None:
    data = str(project.root / "data")
    told = printed("rules", data, "--draws", "2", "--only", "as it is", "--set", "shortlist=6")
    number = r"[01]\.\d{3} ± 0\.\d{3}"
    assert re.search(
        rf"^{data}, as it is: map5 {number}, .*, by chance {number}; judged together in 0%$", told, re.MULTILINE
    )
    assert len(re.findall(r"^(?:best|\.\.\.|logarithm|greatest) .* [01]\.\d+$", told, re.MULTILINE)) == 8
