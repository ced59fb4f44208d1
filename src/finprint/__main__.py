"""Small helpers around the pipeline. `dvc repro` runs the pipeline itself."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from finprint.base.cli import guard
from finprint.base.errors import UserError
from finprint.base.files import read_json
from finprint.params import load_params

if TYPE_CHECKING:
    from finprint.classes.trained import Ensemble

COMPARED, CHANGED = Path("metrics/compared.html"), Path("metrics/changed.html")
BUNDLE = Path("models/bundle")
SEED = 7  # of the draws behind an export's intervals
ANYWHERE = ("identify", "enrol", "export", "review")  # commands that need a bundle, but no project
OfClasses = Annotated[str, typer.Option("--of", help="identity or species: what the models in models/classes/OF tell")]
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__)


@app.callback()
def at_the_root(context: typer.Context) -> None:
    if context.invoked_subcommand not in ANYWHERE and not Path("params.yaml").exists():
        raise UserError("params.yaml is missing: run from the project's root")


@app.command()
def check(
    folder: Annotated[Path | None, typer.Option(help="a folder of photos: tell how it is understood, too")] = None,
    classes: Annotated[bool, typer.Option("--classes", help="its folders are classes, and not individuals")] = False,
) -> None:
    """Check params.yaml: unknown keys, impossible values, sections that contradict each other, missing files."""
    params = load_params()  # what is mistyped is told at once; torch, which the rest needs, takes seconds to import
    from finprint.check import check_named

    check_named(params)
    print("params.yaml is well-formed")
    if folder:
        from finprint.start.reading import read  # pandas takes a second to import
        from finprint.survey.look import describe, look

        looked = read(folder, params, classes) if classes else look(folder, params.prepare)
        print(describe(looked, "class" if classes else "individual"))


@app.command()
def start(
    folder: Annotated[Path, typer.Argument(help="your photos, below data/raw")],
    minutes: Annotated[float, typer.Option(help="that the run may take on this machine")] = 60,
    link: Annotated[bool, typer.Option("--link", help="make a link in data/raw to a folder elsewhere")] = False,
    classes: Annotated[
        bool, typer.Option("--classes", help="the folders are classes, such as kinds of plankton, and not individuals")
    ] = False,
) -> None:
    """Look at a folder of photos, choose the settings that fit it, and write them into params.yaml."""
    from finprint.start.run import Asked, start  # torch takes seconds to import

    for text in start(Asked(folder, minutes, link, classes)):
        print(text, flush=True)


@app.command()
def boxes(tables: Annotated[list[Path], typer.Argument(help="CSV, COCO .json, or a folder of YOLO .txt")]) -> None:
    """Count the boxes in tables, before you add the tables to prepare.boxes."""
    from finprint.survey.sources.boxes import count, read_table_of_boxes, tally  # pandas takes a second to import

    for table in tables:
        if not table.exists():
            raise UserError(f"{table} is missing")
        _, counts = count(read_table_of_boxes(table, "any"), 0)
        counts.pop("unsure")  # no box is: none is asked to be sure
        print(f"{table.name}: {tally(counts)}")


@app.command()
def headline() -> None:
    """Print the main results of the last run: detector, MAP@5 of both rounds, path of the report."""
    folder = Path("metrics")
    if not (folder / "evaluate.json").exists():
        raise UserError("metrics/evaluate.json is missing: `dvc repro` makes it")
    if stale := stale_stages():
        print(f"These results are out of date: {stale[0]} must run again. Run `dvc repro`.", file=sys.stderr)
    metrics, detector = read_json(folder / "evaluate.json"), read_json(folder / "detector.json")
    rows = [("detector mAP50", f"{detector['map50']:.3f}" if detector["enabled"] else "off")]
    for name, scores in (("after round 1", metrics["round1"]), ("after round 2", metrics)):
        for split in ("validation", "test"):
            value = f"{scores[split]['map5']:.3f}" if split in scores else "no truth"
            rows.append((f"MAP@5 {name}, {split}", value))
    for name, path in (("answers", Path("data/search/submission.csv")), ("report", folder / "report.html")):
        rows.append((name, str(path) if path.exists() else f"{path} is missing: `dvc repro` makes it"))
    width = max(len(name) for name, _ in rows)
    print("\n".join(f"{name:<{width}}  {value}" for name, value in rows))


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="a commit, a branch, an experiment, or a folder with a checkout")],
    b: Annotated[str, typer.Argument(help="the same; . is this folder as it is now")] = ".",
    page: Annotated[Path, typer.Option(help="page to write: metrics and figures of both, side by side")] = COMPARED,
    of: Annotated[str, typer.Option(help="identity or species: compare classes; by default the five names")] = "",
) -> None:
    """Test whether the difference between A and B is real or chance, on the photos that both answered.

    Also write a page with the figures of both side by side.
    """
    from finprint.evaluation import compare as comparison  # DVC takes a second to import
    from finprint.report.compared import write_compared

    seed, figures = load_params().seed, comparison.FIGURES
    if of:
        from finprint.evaluation.compare_classes import compare_classes, read_classes

        table, figures = (
            compare_classes(read_classes(a, of), read_classes(b, of), seed),
            f"metrics/classes/{of}_figures",
        )
    else:
        table = comparison.compare(comparison.read_experiment(a), comparison.read_experiment(b), seed)
    if not len(table):
        raise UserError(f"{a} and {b} have answered no common photo whose right answer is known")
    print(
        f"A: {a}    B: {b}    differences are B - A, with 95 % intervals; p: chance of such a difference between equals"
    )
    shown = table.assign(interval=[f"{low:+.3f} to {high:+.3f}" for low, high in table[["low", "high"]].to_numpy()])
    columns = ["split", "metric", "a", "b", "difference", "interval", "p", "queries"]
    formats = {"a": "{:.3f}", "b": "{:.3f}", "difference": "{:+.3f}", "p": "{:.4f}"}
    print(shown[columns].to_string(index=False, formatters={name: form.format for name, form in formats.items()}))
    write_compared(page, (a, b), table, [comparison.read_figures(one, figures) for one in (a, b)])
    print(f"figures of both, side by side: {page}")


@app.command()
def changed(
    before: Annotated[
        str, typer.Argument(help="a commit, a branch, an experiment, or a folder with a checkout")
    ] = "HEAD",
    page: Annotated[Path, typer.Option(help="page to write, and a CSV beside it")] = CHANGED,
) -> None:
    """Tell which photos are answered otherwise than BEFORE, and why."""
    from finprint.evaluation.changed import read_answered  # pandas takes a second to import
    from finprint.report.changed import tell_changed

    lines = tell_changed(page, before, read_answered(before), read_answered("."))
    for line in lines or [f"the answers are the same as those of {before}, from the same catalogue, models and rules"]:
        print(line)


@app.command()
def lr_find(
    steps: Annotated[int, typer.Option(min=20, help="largest number of training steps")] = 200,
    output: Annotated[Path, typer.Option(help="PNG to write")] = Path("metrics/lr_find.png"),
    of: Annotated[str, typer.Option("--of", help="identity or species: for models of classes, not of round 1")] = "",
) -> None:
    """Suggest a learning rate: a short training raises it step by step. Run `dvc repro crop` before."""
    from finprint.base.files import atomic
    from finprint.classes.labels import labelled
    from finprint.classes.params import Classify
    from finprint.classes.task import Classes
    from finprint.classes.training import class_recipe
    from finprint.individuals.task import Individuals
    from finprint.learning.inputs import Photos
    from finprint.learning.lr_finder import find_rate
    from finprint.learning.recipe import Recipe
    from finprint.learning.task import Task
    from finprint.paper.figure import png
    from finprint.pictures.shards import Crops
    from finprint.report.plots import rate_plot
    from finprint.store.tables import PHOTOS, read_table

    params, crops = load_params(), Crops(Path("data/crops"))
    table = read_table(Path("data/photos.parquet"), PHOTOS)
    task: Task
    if of:
        fold = params.classes.folds[0]
        recipe = class_recipe(params.classify, params.classes.members[0], fold, params.seed, 0)
        labels = labelled(table, crops, of, params.classes, params.prepare.folds)
        task = Classes.of(labels, crops, cast(Classify, recipe.train), fold)
    else:
        recipe = Recipe(params.train, params.train.epochs, params.lr, params.seed)
        task = Individuals.of(table, crops, params.train)
    photos = Photos(crops.pixels, recipe.train.batch)
    curve = find_rate(task, task.new_network(recipe), photos, recipe, steps)
    with atomic(output) as draft:
        draft.write_bytes(png(rate_plot(curve.rates, curve.losses, curve.suggestion, recipe.lr)))
    print(f"the loss falls fastest at lr {curve.suggestion:.1e} (params.yaml has {recipe.lr:.1e}); the curve: {output}")


@app.command()
def explain(
    query: Annotated[str, typer.Argument(help="id of a photo to identify or of a validation photo")],
    match: Annotated[str | None, typer.Option(help="id of the photo beside it; by default its best match")] = None,
    output: Annotated[Path | None, typer.Option(help="PNG to write; by default metrics/explained/QUERY.png")] = None,
) -> None:
    """Show what makes a photo and its match look alike: write a PNG of both with heat maps and print its path."""
    from finprint.report.pair import explain_match  # torch takes seconds, which the other commands need not wait

    print(explain_match(Path("data"), Path("models/round2"), Path("metrics/explained"), query, match, output))


@app.command()
def review(
    folder: Annotated[Path | None, typer.Argument(help="what identify has written; by default the last run")] = None,
    bundle: Annotated[Path | None, typer.Option(help="the bundle by which they were identified, if it moved")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="of 127.0.0.1; 0: any that is free")] = 8765,
    who: Annotated[str, typer.Option(help="your name, for the log; by default that of your account")] = "",
) -> None:
    """Serve a page on this machine on which a person decides who is in each photo. Ctrl-C ends it."""
    from finprint.review.start import start  # pandas takes a second to import

    start(folder, bundle, port, who)


@app.command()
def classify(
    images: Annotated[list[Path], typer.Argument(help="images, or folders of them")],
    of: OfClasses = "identity",
    output: Annotated[Path, typer.Option(help="CSV to write")] = Path("metrics/classified.csv"),
) -> None:
    """Classify new images with the trained models of classes: the best answer and the probability of each class."""
    from finprint.classes.trained import classify_images, images_in  # torch takes seconds
    from finprint.classes.voting import write_submission
    from finprint.detector.yolo import TrainedDetector

    ensemble = _ensemble(of)
    folder = Path("models/detector")
    detector = TrainedDetector(folder) if TrainedDetector.enabled(folder) else None
    table, bad = classify_images(images_in(images), ensemble, detector, load_params().crop)
    for line in bad:
        print(line, file=sys.stderr)
    write_submission(output, table)
    print(f"{len(table)} images classified, {len(bad)} not: {output}")


@app.command()
def identify(
    photos: Annotated[list[Path], typer.Argument(help="a folder, a table with the photos' paths, or single photos")],
    bundle: Annotated[Path, typer.Option(help="the trained system")] = BUNDLE,
    out: Annotated[Path | None, typer.Option(help="folder to write; by default identified/NAME")] = None,
    ray: Annotated[str, typer.Option(help="HOST:PORT of a Ray cluster, or auto: crop and embed there")] = "",
) -> None:
    """Name the animals in new photos by a trained system: five names each, their probabilities, and who may be new."""
    from finprint.base.light import import_pandera

    import_pandera()  # first of all, because other imports would take longer
    from finprint.bundle.command import identify_photos

    first = photos[0].resolve()
    identify_photos(photos, bundle, out or Path("identified") / (first.name if first.is_dir() else first.stem), ray)


@app.command()
def enrol(
    out: Annotated[Path, typer.Argument(help="folder that `finprint identify` wrote, with decisions in it")],
    bundle: Annotated[Path, typer.Option(help="the trained system")] = BUNDLE,
) -> None:
    """Have decisions on identified photos enter the catalogue of a trained system; the next `identify` knows them."""
    from finprint.bundle.command import enrol_decisions  # pandas takes a second to import

    enrol_decisions(out, bundle)


@app.command()
def export(
    source: Annotated[Path, typer.Option("--from", help="data, or a folder that identify wrote")] = Path("data"),
    out: Annotated[Path, typer.Option(help="folder to write")] = Path("exported"),
    occasion: Annotated[str, typer.Option(help="of capture histories: day, month, year, or a column")] = "day",
    effort: Annotated[
        Path | None, typer.Option("--occasions", help="file of all occasions on which you were out, a line each")
    ] = None,
    least: Annotated[float, typer.Option(min=0, max=1, help="probability from which an answer counts in them")] = 0.9,
    folders: Annotated[str, typer.Option(help="copy or link photos into folders by individual")] = "",
) -> None:
    """Write sightings (CSV, Excel, Darwin Core), capture histories for mark-recapture, plots, folders by individual."""
    from finprint.export.command import Wanted  # matplotlib takes a second to import
    from finprint.export.command import export as write

    if folders not in ("", "copy", "link"):
        raise UserError(f"--folders {folders}: write copy or link")
    how = cast(Literal["copy", "link"], folders) or None
    for line in write(source, out, Wanted(occasion, least, how, SEED, effort)):
        print(line, flush=True)


@app.command()
def export_model(
    of: OfClasses = "identity",
    output: Annotated[Path, typer.Option(help="folder to write")] = Path("models/exported"),
) -> None:
    """Write the trained models of classes as one file with a script that runs without finprint."""
    from finprint.classes.export import SCRIPT
    from finprint.classes.export import export as write  # torch takes seconds

    ensemble = _ensemble(of)
    apart = write(ensemble, output, load_params().crop)
    print(f"{output}/{SCRIPT} classifies images; its probabilities differ by at most {apart:.1e} from the models'")


def _ensemble(of: str) -> "Ensemble":
    """The trained models of classes, with the rules of their answers."""
    from finprint.classes.trained import load_ensemble  # torch takes seconds

    return load_ensemble(Path("models/classes") / of, Path("data/labels") / of / "rules.json")


def stale_stages() -> list[str]:
    """The stages that `dvc repro` would run; none where no DVC project is."""
    from dvc.exceptions import NotDvcRepoError  # takes a second to import
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            return list(repo.status(targets=["evaluate"], with_deps=True))
    except NotDvcRepoError:
        return []


def main() -> None:
    """The command `finprint`."""
    guard(app)


if __name__ == "__main__":
    main()
