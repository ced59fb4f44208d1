"""`python -m finprint`: small helpers around the pipeline, which itself is run by `dvc repro`."""

from pathlib import Path

import typer

from finprint.cli import guard
from finprint.errors import UserError
from finprint.files import read_json
from finprint.params import load_params

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__)


@app.command()
def check() -> None:
    """Check params.yaml: unknown keys, wrong types, impossible values."""
    load_params()
    print("params.yaml is well-formed")


@app.command()
def headline() -> None:
    """Print the figures of the last run: detector, MAP@5 of both rounds, where the report lies."""
    folder = Path("metrics")
    if not (folder / "evaluate.json").exists():
        raise UserError("metrics/evaluate.json is missing: `dvc repro` makes it")
    found, detector = read_json(folder / "evaluate.json"), read_json(folder / "detector.json")
    rows = [("detector mAP50", f"{detector['map50']:.3f}" if detector["enabled"] else "off")]
    for name, scores in (("after round 1", found["round1"]), ("after round 2", found)):
        for split in ("validation", "test"):
            value = f"{scores[split]['map5']:.3f}" if split in scores else "no truth"
            rows.append((f"MAP@5 {name}, {split}", value))
    rows.append(("answers", "data/search/submission.csv"))
    rows.append(("report", str(folder / "report.html")))
    width = max(len(name) for name, _ in rows)
    print("\n".join(f"{name:<{width}}  {value}" for name, value in rows))


if __name__ == "__main__":
    guard(app)
