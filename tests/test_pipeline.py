"""The pipeline's own promises, read from dvc.yaml and params.yaml."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from closure import modules, rooms
from ruamel.yaml import YAML

from finprint.classes.imagining import CODE as IMAGINE
from finprint.classes.training import CODE as CLASSES
from finprint.detector.training import CODE as DETECTOR
from finprint.individuals.rounds import CODE as ROUND
from finprint.params import Params, load_params

ROOT = Path(__file__).parent.parent
STAGES: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
RAW: dict[str, Any] = YAML(typ="safe").load(ROOT / "params.yaml")
SCRIPTS = {
    "fold": "train",
    "embed_fold": "embed",
    "reembed": "embed",
}  # the exceptions to a script a stage: the round is data
UNWATCHED = {"engine"}  # no stage depends on it, because the results are the same bits
MODELS = ("imagine", "classify", "guess")  # stages of one model of classes


def outputs(stage: str) -> dict[str, dict[str, Any]]:
    """Path to options of everything that a stage writes."""
    entries = STAGES[stage].get("outs", []) + STAGES[stage].get("metrics", [])
    return {k: v for e in entries for k, v in (e.items() if isinstance(e, dict) else [(e, {})])}


def keys(value: Any, prefix: str = "") -> list[str]:
    """All dotted keys of a nested dict."""
    if not isinstance(value, dict):
        return [prefix]
    return [key for k, v in value.items() for key in keys(v, f"{prefix}.{k}" if prefix else str(k))]


def test_stages_stand_in_the_order_of_the_contract() -> None:
    order = ["prepare", "detector", "crop", "train", "embed", "fold", "embed_fold", "mine", "retrain", "reembed"]
    classes = ["imagine", "classify", "guess", "vote", "judge"]
    assert list(STAGES) == ["check", *order, "match", *classes, "search", "bundle", "evaluate"]


def test_one_name_in_four_places() -> None:
    scripts = {path.stem for path in (ROOT / "stages").glob("*.py")}
    assert scripts == set(STAGES) - set(SCRIPTS)
    sections = set(RAW) - {"seed", "lr"}
    without = {"embed_fold", "reembed", "check", "bundle"}  # they read the sections of others
    assert sections == set(STAGES) - without | {"classes"} | UNWATCHED  # what the branch tells, where work is done
    assert sections == set(Params.model_fields) - {"seed", "lr"}


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_the_rooms_that_the_script_imports_from(stage: str) -> None:
    script = f"stages/{SCRIPTS.get(stage, stage)}.py"
    code = {dep for dep in STAGES[stage]["deps"] if dep.startswith("src/")}
    assert code == rooms(modules(ROOT / script, ROOT / "src"), ROOT / "src")
    assert script in STAGES[stage]["deps"]
    assert f"python {script}" in STAGES[stage]["cmd"]


def test_dvc_yaml_can_be_read_in_one_go() -> None:
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 400


def test_a_stage_script_has_no_logic() -> None:
    long = {path.name for path in (ROOT / "stages").glob("*.py") if len(path.read_text().splitlines()) > 45}
    assert long == set()


def test_checkpoints_depend_on_the_rooms_that_their_stage_depends_on() -> None:
    for stage, code in {
        "detector": DETECTOR,
        "train": ROUND,
        "fold": ROUND,
        "retrain": ROUND,
        "imagine": IMAGINE,
        "classify": CLASSES,
    }.items():
        deps = {dep.removeprefix("src/finprint/") for dep in STAGES[stage]["deps"] if dep.startswith("src/")}
        assert set(code) == deps - {"__init__.py"}


def test_a_further_fold_or_member_leaves_the_models_of_classes_as_they_are() -> None:
    of_classes = {stage: [key for key in STAGES[stage]["params"] if key.startswith("classes")] for stage in MODELS}
    assert of_classes == {stage: ["classes.test"] for stage in MODELS}


@pytest.mark.parametrize("stage", STAGES)
def test_params_are_those_that_the_script_reads(stage: str) -> None:
    text = (ROOT / "stages" / f"{SCRIPTS.get(stage, stage)}.py").read_text()
    if stage == "check":
        assert STAGES[stage]["params"] == [{"params.yaml": None}]  # all of it
        return
    loaded = re.findall(r"load_sections\((.*?)\)", text, re.S)
    assert len(loaded) == 1
    read = set(re.findall(r"(\w+)=", loaded[0]))
    watched = {key.split(".")[0] if stage in MODELS else key for key in STAGES[stage]["params"]}
    assert watched == read - UNWATCHED
    assert set(re.findall(r"\bparams\.([a-z]+)", text)) & set(Params.model_fields) <= read


def test_every_param_belongs_to_a_stage() -> None:
    tracked = {key for stage in STAGES.values() for key in stage["params"] if isinstance(key, str)}
    assert [key for key in keys(RAW) if key.split(".")[0] not in tracked | UNWATCHED] == []
    assert not tracked & UNWATCHED
    uncounted = {name for name, field in Params.model_fields.items() if not getattr(field.annotation, "counts", True)}
    assert uncounted == UNWATCHED


def test_banned_names() -> None:
    """DVC's run-cache drops these keys from its hash: a change would silently restore the old output."""
    assert [key for key in keys(RAW) if {"size", "nfiles"} & set(key.split("."))] == []


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_stage_says_of_itself(stage: str) -> None:
    assert STAGES[stage]["desc"]
    metrics = {path for entry in STAGES[stage].get("metrics", []) for path in entry}
    assert metrics or stage == "check", "every stage has a metrics file"
    for path, options in outputs(stage).items():
        assert not options.get("persist")
        # Git keeps the metrics alone. Another output that is not cached would keep the whole stage out of DVC's
        # run-cache, and it would run again whenever somebody goes back to params that it ran with before.
        assert options.get("cache", True) == (path not in metrics)


def test_cached_outputs_are_ignored_by_git_and_metrics_are_not() -> None:
    paths = {path: options.get("cache", True) for stage in STAGES for path, options in outputs(stage).items()}
    run = subprocess.run(["git", "check-ignore", "--no-index", *paths], cwd=ROOT, capture_output=True, text=True)
    assert set(run.stdout.split()) == {path for path, cached in paths.items() if cached}


def test_truth_is_read_by_the_stages_that_judge() -> None:
    assert [stage for stage in STAGES if "data/truth.parquet" in STAGES[stage]["deps"]] == ["judge", "evaluate"]


def test_every_param_has_a_comment() -> None:
    """But those of a section's members, which its own comments explain."""
    lines = re.sub(r"(?m)^  members: .*\n(?:    .*\n)+", "", (ROOT / "params.yaml").read_text()).splitlines()
    bare = [line.split(":")[0].strip() for line in lines if re.search(r": \S", line) and "#" not in line]
    assert set(bare) == set(RAW["prepare"]["species_typos"])  # these are explained together


def test_params_survive_an_override_as_a_one_line_diff(tmp_path: Path) -> None:
    from dvc.utils.serialize import modify_yaml

    copy = tmp_path / "params.yaml"
    copy.write_text((ROOT / "params.yaml").read_text())
    with modify_yaml(copy) as values:
        values["lr"] = 1e-05
    before, after = (ROOT / "params.yaml").read_text().splitlines(), copy.read_text().splitlines()
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a.split("#")[0] != b.split("#")[0]]
    assert [b.split("#")[0].strip() for _, b in changed] == ["lr: 1e-05"]
    assert load_params(copy).lr == 1e-05


def lists(tree: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The keys of all lists in params.yaml."""
    if isinstance(tree, dict):
        return [found for key, value in tree.items() for found in lists(value, (*path, key))]
    return [path] if isinstance(tree, list) else []


@pytest.mark.parametrize("key", lists(RAW), ids=".".join)
@pytest.mark.parametrize("value", [[], [0.25, 0.75, 0.5]])
def test_a_list_survives_an_override(tmp_path: Path, key: tuple[str, ...], value: list[float]) -> None:
    """DVC's writer loses comments inside a list, and breaks the file where one stands beside the key of a list that
    becomes empty: so a comment stands above the key of a list that has items."""
    from dvc.utils.serialize import modify_yaml

    copy = tmp_path / "params.yaml"
    copy.write_text((ROOT / "params.yaml").read_text())
    before = re.findall("#.*", copy.read_text())
    with modify_yaml(copy) as tree:
        section = tree
        for name in key[:-1]:
            section = section[name]
        section[key[-1]] = value
    assert [comment.strip() for comment in re.findall("#.*", copy.read_text())] == before
    changed = YAML(typ="safe").load(copy)
    for name in key:
        changed = changed[name]
    assert changed == value


def test_no_machine_or_registry_is_named() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert "--index" not in lock
