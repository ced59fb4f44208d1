"""detector: train YOLOv5 on the photos that have boxes, and measure it on photos held out."""

from finprint.checkpoint import Checkpoint
from finprint.cli import Place, run
from finprint.detector import save_no_detector, train_detector
from finprint.files import write_metrics
from finprint.params import load_params
from finprint.tables import BOXES, read_table


def main(boxes: Place, model: Place, metrics: Place) -> None:
    params = load_params()
    if not params.detector.enabled:
        save_no_detector(model)
        write_metrics(metrics, {"enabled": 0})
        return
    checkpoint = Checkpoint("detector", {"seed": params.seed} | params.detector.model_dump(), [boxes])
    found = train_detector(read_table(boxes, BOXES), params.detector, params.seed, checkpoint.folder, model)
    write_metrics(metrics, {"enabled": 1} | found)
    checkpoint.clear()


if __name__ == "__main__":
    run(main)
