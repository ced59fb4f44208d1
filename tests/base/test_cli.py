"""Command lines, as real processes: one line and exit code 2 for what the user can mend."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from finprint.__main__ import app

ROOT = Path(__file__).parents[2]

SCRIPT = """
from finprint.base.cli import Output, run
from finprint.base.errors import UserError

def main(photos: Output, labels: Output | None = None) -> None:
    if labels is None:
        raise UserError(f"{photos} line 3: image is empty")
    if labels.name == "bug":
        raise ZeroDivisionError("a bug")
    if labels.name == "wait":
        import time
        print("waiting", flush=True)
        time.sleep(60)
    print(photos / labels)

if __name__ == "__main__":
    run(main)
"""


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT / "src"), "COLUMNS": "200", "NO_COLOR": "1"}


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=_environment(), capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def script(tmp_path: Path) -> str:
    (tmp_path / "stage.py").write_text(SCRIPT)
    return "stage.py"


def test_a_user_error_is_one_line_and_exit_code_two(tmp_path: Path, script: str) -> None:
    done = _run(tmp_path, script, "--photos", "train.csv")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "error: train.csv line 3: image is empty\n")


def test_paths_are_options_and_success_is_silent_on_stderr(tmp_path: Path, script: str) -> None:
    done = _run(tmp_path, script, "--photos", "a", "--labels", "b")
    assert (done.returncode, done.stdout, done.stderr) == (0, "a/b\n", "")


WRITES = """
from finprint.base.cli import Output, run
from finprint.base.files import write_array, write_json
import numpy as np

def main(output: Output, count: int) -> None:
    write_array(output / "large.npy", np.zeros(count))
    write_json(output / "small.json", {})

if __name__ == "__main__":
    run(main)
"""


def test_a_full_or_read_only_disk_is_one_line(tmp_path: Path, small_disk: Path) -> None:
    (tmp_path / "stage.py").write_text(WRITES)
    small, large = (("stage.py", "--output", str(small_disk / "out"), str(n)) for n in (5, 10**6))
    done = _run(tmp_path, *small)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    again = "Mend this and run the same command again"
    done = _run(tmp_path, *large)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {small_disk}/out/large.npy: no space left on device. {again}\n"
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    done = _run(tmp_path, *small)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {small_disk}/out/large.npy: read-only file system. {again}\n"


def test_a_bug_keeps_its_traceback(tmp_path: Path, script: str) -> None:
    done = _run(tmp_path, script, "--photos", "a", "--labels", "bug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("ZeroDivisionError: a bug\n")


def test_a_missing_option_is_named(tmp_path: Path, script: str) -> None:
    done = _run(tmp_path, script)
    assert done.returncode == 2
    assert "--photos" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_says_how_to_go_on(tmp_path: Path, script: str) -> None:
    command = [sys.executable, script, "--photos", "a", "--labels", "wait"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background shell would have it ignored
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert told.strip() == "interrupted: run the same command again to go on"


def test_check_accepts_the_projects_params(tmp_path: Path) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    done = _run(tmp_path, "-m", "finprint", "check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "params.yaml is well-formed\n", "")


def test_check_names_a_typo_and_what_was_meant(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text()
    before, train = text.split("\ntrain:\n")
    (tmp_path / "params.yaml").write_text(f"{before}\ntrain:\n{train.replace('head_lr_factor:', 'haed_lr_factor:', 1)}")
    done = _run(tmp_path, "-m", "finprint", "check")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "error: params.yaml: train.head_lr_factor is missing; "
        "params.yaml: unknown key train.haed_lr_factor (did you mean head_lr_factor?)\n"
    )


def test_check_outside_of_a_project(tmp_path: Path) -> None:
    done = _run(tmp_path, "-m", "finprint", "check")
    assert (done.returncode, done.stderr) == (2, "error: params.yaml is missing: run from the project's root\n")


def test_commands_start_without_what_takes_seconds_to_import(tmp_path: Path) -> None:
    done = _run(tmp_path, "-c", "import sys, finprint.__main__; print({'torch', 'timm', 'dvc'} & set(sys.modules))")
    assert (done.returncode, done.stdout, done.stderr) == (0, "set()\n", "")


def test_headline_before_the_first_run(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").touch()
    done = _run(tmp_path, "-m", "finprint", "headline")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: metrics/evaluate.json is missing: `dvc repro` makes it\n"


def test_headline_prints_the_figures(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").touch()
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "report.html").touch()
    scores = {"validation": {"map5": 0.61239}, "round1": {"validation": {"map5": 0.5}, "test": {"map5": 0.4}}}
    (tmp_path / "metrics" / "evaluate.json").write_text(json.dumps(scores))
    (tmp_path / "metrics" / "detector.json").write_text(json.dumps({"enabled": 1, "map50": 0.9}))
    done = _run(tmp_path, "-m", "finprint", "headline")
    assert (done.returncode, done.stderr) == (0, "")
    rows = dict(line.split("  ", 1) for line in done.stdout.splitlines())
    assert {name: value.strip() for name, value in rows.items()} == {
        "detector mAP50": "0.900",
        "MAP@5 after round 1, validation": "0.500",
        "MAP@5 after round 1, test": "0.400",
        "MAP@5 after round 2, validation": "0.612",
        "MAP@5 after round 2, test": "no truth",
        "answers": "data/search/submission.csv is missing: `dvc repro` makes it",
        "report": "metrics/report.html",
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of DVC's own libraries
def test_headline_after_a_run_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The results of the run before are not passed off as those of this one."""
    from dvc.repo import Repo

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT")
    Repo.init(no_scm=True)
    stages = {name: {"cmd": "false", "deps": [dep]} for name, dep in (("search", "in"), ("evaluate", "metrics"))}
    stages["search"]["outs"] = ["metrics"]
    (tmp_path / "in").touch()
    (tmp_path / "dvc.yaml").write_text(json.dumps({"stages": stages}))
    (tmp_path / "params.yaml").touch()
    (tmp_path / "metrics").mkdir()
    scores = {"validation": {"map5": 0.6}}
    (tmp_path / "metrics" / "evaluate.json").write_text(json.dumps(scores | {"round1": scores}))
    (tmp_path / "metrics" / "detector.json").write_text(json.dumps({"enabled": 0}))
    done = CliRunner().invoke(app, ["headline"])
    assert done.exception is None, done.exception
    told = r"These results are out of date: (?:search|evaluate) must run again\. Run `dvc repro`\.\n"
    assert re.fullmatch(told, done.stderr)
    assert "MAP@5 after round 2, validation" in done.stdout
