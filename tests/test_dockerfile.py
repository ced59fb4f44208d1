"""The image is made by the steps of the Makefile, from files that reach the build."""

import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_image_is_made_by_make_env_from_what_it_copies(tmp_path: Path) -> None:
    text = (ROOT / "Dockerfile").read_text()
    copied = [name for line in re.findall(r"(?m)^COPY (.+) \S+$", text) for name in line.split()]
    let_through = re.findall(r"(?m)^!(\S+)$", (ROOT / ".dockerignore").read_text())
    assert sorted(copied) == sorted(let_through)
    assert "RUN make env" in text
    assert not re.search(r"\bpip\b|://|--index", text)
    for name in copied:
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)
    said = subprocess.run(["make", "-n", "env"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "uv pip install" in said
    assert "--editable ." in said
