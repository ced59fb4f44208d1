"""The pipeline as its users run it: real DVC, in a temporary clone, with params as small as they go."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import save_photo, scenery
from PIL import Image
from ruamel.yaml import YAML

from finprint.base.files import hold

ROOT = Path(__file__).parent.parent
TINY = {
    "prepare.sample.individuals": 8,
    "prepare.sample.photos": 48,
    "prepare.sample.test_photos": 12,
    "prepare.sample.boxed_share": 0.5,
    "detector.image_size": 64,
    "detector.epochs": 1,
    "crop.image_size": 48,
    "crop.shard_photos": 32,
    "train.image_size": 32,
    "train.first_size": 32,
    "train.embedding": 32,
    "train.epochs": 2,
    "train.batch": 8,
    "retrain.epochs": 1,
    "mine.precision": 0.05,
    "evaluate.explained": 4,
}
ALL = [
    "check", "prepare", "detector", "crop", "train", "embed", "mine", "retrain", "reembed", "match", "search",
    "bundle", "evaluate",
]  # fmt: skip

pytestmark = pytest.mark.slow


class Clone:
    """A copy of the project under git and DVC, and ways to run things in it."""

    def __init__(self, folder: Path, overrides: dict[str, object]) -> None:
        self.folder = folder
        files = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        for name in files.stdout.splitlines():
            if name != "dvc.lock" and (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        self.set(overrides)
        for command in ("init -q", "add -A", "commit -qm start"):
            subprocess.run(
                ["git", "-c", "user.name=t", "-c", "user.email=t@t", *command.split(" ", 2)], cwd=folder, check=True
            )

    def set(self, overrides: dict[str, object]) -> None:
        """Write values into params.yaml."""
        yaml = YAML()
        params = yaml.load(self.folder / "params.yaml")
        for key, value in overrides.items():
            *sections, last = key.split(".")
            section = params
            for name in sections:
                section = section[name]
            section[last] = value
        yaml.dump(params, self.folder / "params.yaml")

    def start(self, *command: str) -> "subprocess.Popen[str]":
        """Start a command with this environment's Python first on the path, as an activated one has it."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        settings = {"PATH": path, "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t", "GIT_COMMITTER_NAME": "t"}
        settings |= {"GIT_COMMITTER_EMAIL": "t@t", "PYTHONPATH": ""}
        return subprocess.Popen(
            command, cwd=self.folder, env=os.environ | settings, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def run(self, *command: str, code: int = 0) -> str:
        """Run a command to its end and return what it said."""
        process = self.start(*command)
        said, _ = process.communicate()
        assert process.returncode == code, said
        return said

    def back(self) -> None:
        """Go back to the first run; `dvc exp run` stages what it changes, so a plain checkout would not do."""
        self.run("git", "reset", "-q", "--hard")
        self.run("dvc", "checkout", "-q", "--force")

    def lock(self) -> dict[str, str]:
        """Path to hash of everything that the stages wrote, as dvc.lock has it."""
        stages = YAML(typ="safe").load(self.folder / "dvc.lock")["stages"]
        return {out["path"]: out["md5"] for stage in stages.values() for out in stage["outs"]}


def read_until(process: "subprocess.Popen[str]", told: str) -> None:
    """Wait until a process has said this."""
    assert process.stdout
    lines = [""]
    while told not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], "".join(lines)


def ran(said: str) -> list[str]:
    """The stages that DVC says it ran, none of them restored from its cache."""
    return re.findall(r"Running stage '([\w@-]+)'", said)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone in which the whole pipeline has run once."""
    made = Clone(tmp_path_factory.mktemp("clone"), TINY)
    assert ran(made.run("dvc", "repro")) == ALL
    made.run("git", "add", "-A")
    made.run("git", "commit", "-qm", "first run")
    return made


def test_the_answers_are_complete(clone: Clone) -> None:
    asked = pd.read_csv(clone.folder / "data/sample/sample_submission.csv")["image"].tolist()
    answered = pd.read_csv(clone.folder / "data/search/submission.csv")
    assert answered["image"].tolist() == asked
    for names in answered["predictions"].str.split():
        assert len(names) == len(set(names)) == 5
    answers = pd.read_parquet(clone.folder / "data/search/answers.parquet")
    assert sorted(answers["query"].unique()) == sorted(asked)
    found = json.loads((clone.folder / "metrics/evaluate.json").read_text())
    assert {"map5", "top1", "top5", "new_rate"} <= found["test"].keys() & found["validation"].keys()
    assert "map5" in json.loads((clone.folder / "metrics/round1.json").read_text())
    assert "map5" in json.loads((clone.folder / "metrics/round2.json").read_text())
    index = pd.read_parquet(clone.folder / "data/crops/index.parquet")
    assert len(index) == 60
    assert index["shard"].nunique() == 2


def test_nothing_written_names_this_machine(clone: Clone) -> None:
    for path in (clone.folder / "data", clone.folder / "models", clone.folder / "metrics"):
        for file in path.rglob("*"):
            if file.is_file():
                assert str(clone.folder).encode() not in file.read_bytes(), file


def test_the_lr_finder_suggests_a_rate_and_writes_its_plot(clone: Clone) -> None:
    said = clone.run("python", "-m", "finprint", "lr-find", "--steps", "20", "--output", "curve.png")
    assert re.search(
        r"^the loss falls fastest at lr \d\.\de-\d\d \(params.yaml has 2\.0e-03\); the curve: curve\.png$",
        said,
        re.MULTILINE,
    )
    with Image.open(clone.folder / "curve.png") as drawn:
        assert np.ptp(np.asarray(drawn.convert("L"))) > 200
    (clone.folder / "curve.png").unlink()


def test_a_second_repro_runs_nothing(clone: Clone) -> None:
    said = clone.run("dvc", "repro")
    assert ran(said) == []
    assert "up to date" in said
    assert clone.run("git", "status", "--porcelain") == ""


def test_byte_code_in_a_room_is_no_change(clone: Clone) -> None:
    """A room is a dependency as a folder, and Python writes into it; .dvcignore keeps that out."""
    for folder in clone.folder.rglob("src/**/__pycache__"):
        shutil.rmtree(folder)
    assert ran(clone.run("dvc", "repro")) == []
    clone.run("env", "-u", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH=src", "python", "-c", "import finprint.learning.loop")
    assert list(clone.folder.rglob("src/finprint/learning/__pycache__/loop.*.pyc"))
    assert ran(clone.run("dvc", "repro")) == []
    (clone.folder / "src/finprint/learning/note.py").write_text("")  # a module is a change
    assert "src/finprint/learning" in clone.run("dvc", "status", "train")
    clone.run("git", "clean", "-qfd", "src")


def test_a_search_param_runs_search_and_evaluate_only(clone: Clone) -> None:
    before = clone.lock()
    sets = ("search.new.target=fixed", "search.new.value=1", "engine.kind=ray")  # no stage depends on the engine
    said = clone.run("dvc", "exp", "run", *(word for one in sets for word in ("-S", one)))
    assert ran(said) == ["check", "search", "bundle", "evaluate"]
    changed = clone.run("dvc", "metrics", "diff")
    assert re.search(r"search\.json\s+threshold\s.*1\.0", changed)
    assert re.search(r"evaluate\.json\s+test\.new_rate", changed)
    assert "search.new.target" in clone.run("dvc", "params", "diff")
    compared = clone.run("python", "-m", "finprint", "compare", "HEAD", ".")
    assert re.search(r"\btest\s+map5\s+0\.\d+\s+0\.\d+\s+[+-]0\.\d+", compared)
    assert compared.endswith("figures of both, side by side: metrics/compared.html\n")
    figures = len(list((clone.folder / "metrics/figures").glob("*.png")))
    assert (clone.folder / "metrics/compared.html").read_text().count("data:image/png;base64,") == 2 * figures > 0
    clone.back()
    assert ran(clone.run("dvc", "repro")) == []  # back again, restored from the cache
    assert clone.lock() == before


def test_lr_runs_training_and_what_follows(clone: Clone) -> None:
    before = clone.lock()
    said = clone.run("dvc", "exp", "run", "-S", "lr=1e-5", "-n", "slow-learner")
    assert ran(said) == ["check", *ALL[4:]]
    assert "1e-05" in clone.run("dvc", "exp", "show", "--csv")
    assert "round1.json" in clone.run("dvc", "metrics", "diff")
    drawn = json.loads(clone.run("dvc", "plots", "diff", "--json", "HEAD", "workspace").splitlines()[-1])["data"]
    for name in ("loss", "map5", "cmc"):
        assert sorted(drawn[name][0]["revisions"]) == ["HEAD", "workspace"]
    clone.run("git", "checkout", "-q", "HEAD", "params.yaml")
    said = clone.run("dvc", "repro")
    assert ran(said) == []  # params that it ran with before: nothing is learned again
    assert said.count("is cached - skipping run") == len(["check", *ALL[4:]])
    assert clone.lock() == before
    clone.back()


def test_folds_are_stages_of_their_own(clone: Clone) -> None:
    """Each fold that is left out is a model more; one more fold trains that model alone."""
    clone.set({"fold.left_out": [1]})
    assert ran(clone.run("dvc", "repro", "mine")) == ["check", "fold@1", "embed_fold@1", "mine"]
    clone.set({"fold.left_out": [1, 3]})
    second = ran(clone.run("dvc", "repro", "search"))
    assert {"fold@3", "embed_fold@3", "mine", "search"} <= set(second)
    assert "fold@1" not in second
    shares = json.loads((clone.folder / "metrics/search.json").read_text())["shares"]
    assert shares == {f"member{number}": pytest.approx(0.25) for number in range(1, 5)}
    for fold in ("1", "3"):
        assert "map5" in json.loads((clone.folder / f"metrics/folds/{fold}.json").read_text())
    clone.back()


def test_forced_again_gives_the_same_bytes_and_another_seed_does_not(clone: Clone) -> None:
    before = clone.lock()
    shutil.rmtree(clone.folder / ".cache")  # or what was learned already would not be learned again
    clone.run("dvc", "repro", "--force", "--no-run-cache")
    assert clone.lock() == before
    clone.run("dvc", "exp", "run", "-q", "-S", "seed=8", "prepare")
    after = clone.lock()
    assert after["data/sample"] != before["data/sample"]
    assert after["data/photos.parquet"] != before["data/photos.parquet"]
    clone.back()


def _as_folders(sample: Path, folder: Path) -> None:
    """The sample as a researcher's folder: SPECIES/NAME/photo, queries/photo, and boxes by these names."""
    labels = pd.read_csv(sample / "train.csv", dtype="string")
    ids = dict(
        zip(labels["image"], labels["species"] + "/" + labels["individual_id"] + "/" + labels["image"], strict=True)
    )
    for image, name in ids.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample / "train_images" / image, folder / name)
    shutil.copytree(sample / "test_images", folder / "queries")
    boxes = pd.read_csv(sample / "boxes.csv", dtype="string")
    boxes.assign(image=boxes["image"].replace(ids)).to_csv(folder / "boxes.csv", index=False)


def test_a_folder_of_folders_and_then_some_more_photos(clone: Clone) -> None:
    """Of photos to identify that are added, each is cropped once, and nothing is learned again that is known."""
    survey = clone.folder / "data/raw/survey"
    _as_folders(clone.folder / "data/sample", survey)
    clone.set({"prepare.source": "folder", "prepare.folder": "data/raw/survey"})
    assert ran(clone.run("dvc", "repro")) == ALL
    answered = pd.read_csv(clone.folder / "data/search/submission.csv")
    assert answered["image"].tolist() == sorted(path.name for path in (survey / "queries").iterdir())
    matched = pd.read_parquet(clone.folder / "data/search/answers.parquet")["match"].dropna()
    assert (survey / matched.iloc[0]).is_file()
    assert (clone.folder / "metrics/data.html").stat().st_size > 5000

    for number, photo in enumerate(sorted((survey / "queries").iterdir())[:3]):
        Image.open(photo).rotate(90).resize((300, 400)).save(survey / "queries" / f"more{number}.jpg")
    said = clone.run("dvc", "repro", "mine")
    assert ran(said) == ["prepare", "crop", "train", "embed", "mine"]
    assert "60 of 63 photos were cropped before, 3 to crop" in said
    assert "these photos were learned by this recipe already" in said
    clone.run("dvc", "repro", "search")
    assert len(pd.read_csv(clone.folder / "data/search/submission.csv")) == 15

    (survey / "decisions.csv").write_text("action,id,to\ndrop,queries/mor0.jpg,\n")
    said = clone.run("dvc", "repro", "prepare", code=255)
    assert "decisions.csv line 2: no photo is called 'queries/mor0.jpg'; did you mean 'more0.jpg'?" in said
    clone.back()

    # Elsewhere, as in the queue, where what git leaves out is not: by an absolute path the photos are found.
    (survey / "decisions.csv").unlink()
    said = clone.run(
        "dvc", "exp", "run", "--temp", "-S", "prepare.source=folder", "-S", f"prepare.folder={survey}", "prepare"
    )
    assert ran(said) == ["check", "prepare"]
    shutil.rmtree(survey)


def _training_under_way(clone: Clone) -> "subprocess.Popen[str]":
    """`dvc repro train`, as soon as it has saved its first checkpoint."""
    process = clone.start("dvc", "repro", "train")
    deadline = time.monotonic() + 300
    while not list(clone.folder.glob(".cache/checkpoints/train/*/state.pt")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    return process


def test_killed_in_mid_training_it_resumes_to_the_same_weights(clone: Clone) -> None:
    """What training does not read may be edited meanwhile: after the end by force, and while it runs."""
    clone.set({"train.epochs": 6})
    shutil.rmtree(clone.folder / ".cache")  # where an earlier run's finished state lies
    process = _training_under_way(clone)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (clone.folder / "models/round1").exists(), "nothing half-written"

    report = clone.folder / "src/finprint/report/plots.py"
    report.write_text(report.read_text() + "\n# another colour\n")
    process = clone.start("dvc", "repro", "train")
    read_until(process, "resuming after epoch")
    clone.set({"search.mean_photos": 2})
    report.write_text(report.read_text() + "\n# and another one\n")
    said, _ = process.communicate()
    assert process.returncode == 0, said
    resumed = clone.lock()["models/round1"]
    assert len(list(clone.folder.glob(".cache/checkpoints/train/*"))) == 1, "of finished runs the last one's state"
    again = ("dvc", "repro", "--force", "--single-item", "--no-run-cache", "train")
    assert "learned by this recipe already" in clone.run(*again)
    assert clone.lock()["models/round1"] == resumed
    shutil.rmtree(clone.folder / ".cache")
    assert "epoch 6/6" in clone.run(*again)
    assert clone.lock()["models/round1"] == resumed
    clone.back()


def test_what_is_edited_in_mid_training_is_not_recorded(clone: Clone) -> None:
    """To prepare the next experiment during an hour of training is ordinary use."""
    loop = clone.folder / "src/finprint/learning/loop.py"
    code = loop.read_text()
    edits: dict[str, tuple[Callable[[], object], Callable[[], object], str]] = {
        "params": (
            lambda: clone.set({"lr": 0.9}),
            lambda: clone.set({"lr": 0.002}),
            "error: params.yaml: lr has changed from 0.002 to 0.9 while this stage ran",
        ),
        "code": (
            lambda: loop.write_text(code + "\n# another thought\n"),
            lambda: loop.write_text(code),
            "src/finprint/learning/loop.py has changed while this stage ran",
        ),
    }
    for epochs, (edit, undo, told) in enumerate(edits.values(), start=7):
        shutil.rmtree(clone.folder / ".cache", ignore_errors=True)
        clone.set({"train.epochs": epochs})
        recorded = (clone.folder / "dvc.lock").read_text()
        process = _training_under_way(clone)
        edit()
        said, _ = process.communicate()
        assert process.returncode != 0
        assert told in said
        assert said.count("so its result is not recorded") == 1
        assert "train:" in clone.run("dvc", "status", "train"), "nothing wrong is called up to date"
        after = YAML(typ="safe").load(clone.folder / "dvc.lock")["stages"]["train"]
        assert after == YAML(typ="safe").load(recorded)["stages"]["train"], "no false record"
        undo()
        said = clone.run("dvc", "repro", "train")
        assert ran(said)[-1] == "train", "nor in the run-cache"
        assert "learned by this recipe already" in said, "the work was kept"
    clone.back()


def test_photos_edited_while_prepare_runs_are_not_recorded(tmp_path: Path) -> None:
    clone = Clone(tmp_path, TINY | {"prepare.source": "folder", "prepare.folder": "data/raw/survey"})
    survey = clone.folder / "data/raw/survey"
    for number in range(8):
        save_photo(survey / f"A{number % 3}" / f"{number}.jpg", scenery(number))
    edited = survey / "A1" / "1.jpg"
    lock = hold(clone.folder / ".cache/readings/lock", "")  # prepare waits for it when it has read the photos
    process = clone.start("dvc", "repro", "prepare")
    read_until(process, "waiting for its end")
    save_photo(edited, scenery(99))
    lock.close()
    said, _ = process.communicate()
    assert process.returncode != 0
    assert "error: data/raw/survey/A1/1.jpg has changed while this stage ran, so its result is not recorded" in said
    assert "prepare:" in clone.run("dvc", "status", "prepare"), "nothing wrong is called up to date"
    assert ran(clone.run("dvc", "repro", "prepare")) == ["prepare"], "nor in the run-cache"
    photos = pd.read_parquet(clone.folder / "data/photos.parquet").set_index("image")
    assert photos.loc["A1/1.jpg", "sha256"] == hashlib.sha256(edited.read_bytes()).hexdigest()


def test_classes_are_judged_without_any_identity(clone: Clone) -> None:
    """A fold more trains its own models alone, and species can stand in front of identity."""
    clone.set({
        "classes.of": ["species"], "classify.image_size": 32, "classify.first_size": 32, "guess.count": 1,
        "imagine.per_class": 2, "imagine.steps": 2, "imagine.channels": 2, "imagine.batch": 4,
    })  # fmt: skip
    models = ["imagine@species-{}", "classify@species-{}-plain", "guess@species-{}-plain"]
    after = ["vote@species", "judge@species"]
    assert ran(clone.run("dvc", "repro", models[2].format(0))) == ["check", *(name.format(0) for name in models)]
    clone.set({"classes.folds": [0, 1]})
    assert ran(clone.run("dvc", "repro", "judge")) == ["check", *(name.format(1) for name in models), *after]

    submission = pd.read_csv(clone.folder / "data/labels/species/submission.csv", index_col="image")
    asked = pd.read_csv(clone.folder / "data/sample/sample_submission.csv")["image"].tolist()
    known = pd.read_parquet(clone.folder / "data/photos.parquet")["species"].dropna().unique()
    assert submission.index.tolist() == asked
    assert sorted(submission.columns) == sorted(known)
    assert submission.sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-6)
    figures = json.loads((clone.folder / "metrics/classes/species.json").read_text())
    for judged in ("validation", "query"):  # the right answers to the sample's photos to identify are known
        assert {"log_loss", "top1", "top5", "balanced_accuracy", "ece"} <= figures[judged].keys()
    assert (clone.folder / "metrics/classes/species.html").read_text().count("data:image/") > 2

    clone.set({"search.species": "prior"})
    assert ran(clone.run("dvc", "repro", "search")) == ["check", "search"]
    clone.back()


@pytest.mark.parametrize(
    ("line", "wrong", "message"),
    [
        ("lr: 0.002", "lr: abc", "error: params.yaml: lr must be a number, not 'abc'"),
        (
            "  epochs: 2",
            "  epoch: 2",
            "error: params.yaml: train.epochs is missing; params.yaml: unknown key train.epoch",
        ),
    ],
)
def test_a_mistyped_param_ends_in_one_line(tmp_path: Path, line: str, wrong: str, message: str) -> None:
    clone = Clone(tmp_path, TINY)
    text = (clone.folder / "params.yaml").read_text()
    assert line in text
    (clone.folder / "params.yaml").write_text(text.replace(line, wrong, 1))
    said = clone.run(sys.executable, "-m", "finprint", "check", code=2)
    assert said.startswith(message)
    assert said.count("\n") == 1
    assert message in clone.run("dvc", "repro", code=255)
    assert not (clone.folder / "data/photos.parquet").exists()
