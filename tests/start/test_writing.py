"""params.yaml rewritten, and what is not overwritten."""

import difflib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from finprint.base.errors import UserError
from finprint.base.params import read_yaml
from finprint.start.writing import refuse_unclean, write_params

OURS = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture
def params(tmp_path: Path) -> Path:
    """A copy of the project's own params.yaml."""
    return Path(shutil.copy(OURS, tmp_path))


def _commit(path: Path) -> None:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main"]
    subprocess.run([*git, "init", "--quiet"], cwd=path.parent, check=True)
    subprocess.run([*git, "add", path.name], cwd=path.parent, check=True)
    subprocess.run([*git, "commit", "--quiet", "--message", "params"], cwd=path.parent, check=True)


def test_only_the_lines_that_change_change(params: Path) -> None:
    values: dict[str, Any] = {
        "train.epochs": 30,
        "detector.enabled": False,
        "crop.whole": [0.3, 0.38, 0.88, 1.0],
        "crop.parts": ["body", "fin"],
        "prepare.folder": "data/raw/Séveran (2019), 2",
        "train.finetune.trainable": 1.0,
    }
    assert write_params(params, values) == ["train.epochs", "detector.enabled", "crop.whole", "prepare.folder"]
    lines = list(difflib.ndiff(OURS.read_text().splitlines(), params.read_text().splitlines()))
    assert [line[2:] for line in lines if line.startswith("+ ")] == [
        "  folder: data/raw/Séveran (2019), 2 # the folder with your photos (the sample needs none)",
        "  enabled: false           # false: no detector is trained; crop.whole is cut out of photos without a box",
        "  - 0.3",
        "  - 0.38",
        "  - 0.88",
        "  epochs: 30               # passes over the training photos",
    ]
    tree = read_yaml(params)
    assert tree["crop"]["whole"] == values["crop.whole"]
    assert tree["prepare"]["folder"] == values["prepare.folder"]
    assert write_params(params, values) == []


def test_a_list_may_become_shorter_and_longer(params: Path) -> None:
    for parts in (["fin"], ["head", "body", "fluke"]):
        write_params(params, {"crop.parts": parts})
        assert read_yaml(params)["crop"]["parts"] == parts
    assert "the first one that has a box is used" in params.read_text()


def test_an_empty_list_is_filled_in_its_line(params: Path) -> None:
    """A block would begin behind the comments that follow."""
    write_params(params, {"classes.of": ["identity"]})
    assert "\n  of: [identity]  " in params.read_text()
    write_params(params, {"classes.of": []})
    assert read_yaml(params)["classes"]["of"] == []


def test_changes_that_git_does_not_have_are_kept(params: Path) -> None:
    _commit(params)
    wanted = {"train.epochs": 30, "train.image_size": 160}
    refuse_unclean(params, wanted)
    params.write_text(params.read_text().replace("  epochs: 9 ", "  epochs: 12"))
    assert read_yaml(params)["train"]["epochs"] == 12
    with pytest.raises(UserError) as caught:
        refuse_unclean(params, wanted)
    assert str(caught.value) == (
        f"{params}: train.epochs is 12, a change that is not committed and would be lost: run `git commit {params}`, "
        f"or `git checkout {params}` to give it up"
    )
    refuse_unclean(params, {"train.image_size": 160})  # of other values nothing is lost
    _commit(params)
    refuse_unclean(params, wanted)


def test_what_it_wrote_itself_is_no_change_of_a_person(params: Path) -> None:
    _commit(params)
    write_params(params, {"train.epochs": 30})
    refuse_unclean(params, {"train.epochs": 16})
    write_params(params, {"train.image_size": 96})  # a later call that writes other keys does not forget it
    refuse_unclean(params, {"train.epochs": 16})
    params.write_text(params.read_text().replace("  epochs: 30", "  epochs: 31"))
    with pytest.raises(UserError, match=r"train\.epochs is 31, a change that is not committed"):
        refuse_unclean(params, {"train.epochs": 16})


def test_outside_of_git_nothing_is_refused(params: Path) -> None:
    params.write_text(params.read_text().replace("  epochs: 9 ", "  epochs: 12"))
    refuse_unclean(params, {"train.epochs": 30})
