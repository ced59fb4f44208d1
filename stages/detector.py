"""detector: train YOLOv5 on the photos that have boxes, and measure it on photos held out."""

from collections.abc import Callable
from pathlib import Path

from finprint.base.checkpoint import Checkpoint
from finprint.base.cli import Input, Output, run
from finprint.base.files import write_metrics
from finprint.base.params import Seed, load_sections
from finprint.base.unchanged import depend_on
from finprint.detector.params import Detector
from finprint.detector.training import CODE, hold_out, train_detector
from finprint.detector.yolo import save_no_detector
from finprint.store.tables import BOXES, read_table


def main(boxes: Input, model: Output, metrics: Output) -> Callable[[], None] | None:
    params = load_sections(seed=Seed, detector=Detector)
    if not params.detector.enabled:
        save_no_detector(model)
        write_metrics(metrics, {"enabled": 0})
        return None
    given = Path(params.detector.network)
    depend_on(given)
    inputs = [boxes, given] if given.is_file() else [boxes]
    checkpoint = Checkpoint("detector", {"seed": params.seed} | params.detector.model_dump(), inputs, CODE)
    table = read_table(boxes, BOXES)
    held_out = hold_out(table, params.detector.holdout, params.seed)
    checkpoint.lock()
    scores = train_detector(table, held_out, params.detector, params.seed, checkpoint.folder, model)
    write_metrics(metrics, {"enabled": 1} | scores)
    return checkpoint.clear


if __name__ == "__main__":
    run(main)
