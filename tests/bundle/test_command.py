"""The commands of a bundle: outside of any project, one line for each thing that is wrong."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from finished import Project
from typer.testing import CliRunner

from finprint.__main__ import app
from finprint.base.errors import UserError
from finprint.base.files import sha256_path
from finprint.evaluation.changed import COLUMNS
from finprint.store.decisions import Decision, Log
from finprint.store.tables import PHOTOS, write_table


@pytest.fixture
def elsewhere(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a bundle and photos, without params.yaml."""
    shutil.copytree(project.bundle, tmp_path / "whales")
    shutil.copytree(project.queries, tmp_path / "june.2026")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _said(*words: str) -> str:
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_a_month_s_work(elsewhere: Path, project: Project) -> None:
    said = _said("identify", "june.2026", "--bundle", "whales").splitlines()
    first = project.answers[project.answers["rank"] == 1].iloc[0]
    assert said[1] == f"q00.jpg: {first['identity']} ({first['probability']:.0%})"
    assert said[-1] == "17 photos: identified/june.2026/answers.xlsx, identified/june.2026/answers.csv"
    log = Log(Path("identified/june.2026/decisions.jsonl"))
    log.append(Decision(action="confirm", photo="q01.jpg", to="animal 01"))
    log.append(Decision(action="new", photo="q16.jpg", to="Old Tom"))
    said = _said("enrol", "identified/june.2026", "--bundle", "whales").splitlines()
    assert said[0] == "2 photos came into the catalogue, 1 new individual: whales knows 15 individuals by 72 photos"
    changed = " of 17 first answers changed since the last time: identified/june.2026/changed.html"
    assert said[-1].endswith(changed)
    assert list(pd.read_csv("identified/june.2026/changed.csv").columns) == COLUMNS
    Path("identified/june.2026/changed.html").unlink()
    assert _said("enrol", "identified/june.2026", "--bundle", "whales") == (
        "nothing is new: whales knows 15 individuals by 72 photos\n"
    )
    assert _said("identify", "june.2026", "--bundle", "whales").splitlines()[-1] == said[-1]
    assert "changed" not in _said("identify", "june.2026", "--bundle", "whales")  # nothing has since
    assert Path("identified/june.2026/changed.html").exists()
    assert "1 of them with a problem" in _said("identify", "june.2026/q16.jpg", "--bundle", "whales")
    assert pd.read_csv("identified/q16/answers.csv")["problem"].str.contains("Old Tom").all()


def test_decisions_reach_the_pipeline_of_the_project(elsewhere: Path, project: Project) -> None:
    _said("identify", "june.2026/q01.jpg", "--bundle", "whales")
    log = Log(Path("identified/q01/decisions.jsonl"))
    first = log.append(Decision(action="confirm", photo="q01.jpg", to="animal 01"))
    log.append(Decision(action="relabel", photo="05_0.jpg", to="animal 06"))
    Path("dvc.yaml").write_text("")
    Path("data/decisions").mkdir(parents=True)
    other = project.photos.assign(sha256="0" * 64)
    for photos, lines in ((other, []), (project.photos, ["q01.jpg", "05_0.jpg"])):
        write_table(Path("data/photos.parquet"), photos, PHOTOS)
        said = _said("enrol", "identified/q01", "--bundle", "whales")
        assert ("2 lines also written into data/decisions/log.jsonl" in said) == bool(lines)
        assert [line.photo for line in Log(Path("data/decisions/log.jsonl")).read()] == lines
    written = Log(Path("data/decisions/log.jsonl")).read()
    assert [line.contents for line in written] == [(sha256_path(Path("june.2026/q01.jpg")),), ("",)]
    assert written[0].model_copy(update={"contents": ()}) == first
    log.append(Decision(action="undo", of=first.id))
    assert "1 line also written" in _said("enrol", "identified/q01", "--bundle", "whales")
    assert "also written" not in _said("enrol", "identified/q01", "--bundle", "whales")


def test_a_bundle_that_dvc_makes_anew_is_said_to_be_one(elsewhere: Path) -> None:
    _said("identify", "june.2026/q01.jpg", "--bundle", "whales")
    Log(Path("identified/q01/decisions.jsonl")).append(Decision(action="confirm", photo="q01.jpg", to="animal 01"))
    (elsewhere / "dvc.yaml").write_text("")
    said = _said("enrol", "identified/q01", "--bundle", "whales").splitlines()
    assert said[-1] == (
        "`dvc repro` writes whales anew: use a copy of it in another place, or enrol again after each run"
    )


@pytest.mark.parametrize("words", [("identify", "june.2026"), ("enrol", "june.2026")])
def test_without_a_bundle(elsewhere: Path, words: tuple[str, ...]) -> None:
    with pytest.raises(UserError) as error:
        _said(*words)
    assert str(error.value) == ("models/bundle is no bundle, manifest.json is missing: `dvc repro bundle` makes one")
    assert not (elsewhere / "models").exists()


def test_other_commands_still_need_a_project(elsewhere: Path) -> None:
    with pytest.raises(UserError, match=r"^params\.yaml is missing: run from the project's root$"):
        _said("headline")
