"""detector: train YOLOv5 on the photos that have boxes, and measure it on photos held out."""

from pathlib import Path

from finprint.checkpoint import Checkpoint
from finprint.cli import Place, run
from finprint.detector import hold_out, save_no_detector, train_detector
from finprint.files import write_metrics
from finprint.params import load_params
from finprint.tables import BOXES, read_table


def main(boxes: Place, model: Place, metrics: Place) -> None:
    params = load_params()
    if not params.detector.enabled:
        save_no_detector(model)
        write_metrics(metrics, {"enabled": 0})
        return
    given = Path(params.detector.weights)
    inputs = [boxes, given] if given.is_file() else [boxes]
    checkpoint = Checkpoint("detector", {"seed": params.seed} | params.detector.model_dump(), inputs)
    table = read_table(boxes, BOXES)
    held_out = hold_out(table, params.detector.holdout, params.seed)
    found = train_detector(table, held_out, params.detector, params.seed, checkpoint.folder, model)
    write_metrics(metrics, {"enabled": 1} | found)
    checkpoint.clear()


if __name__ == "__main__":
    run(main)
