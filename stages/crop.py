"""crop: cut the animal out of every photo, into tar shards with an index."""

from finprint.cli import Place, run
from finprint.cropping import crop_photos
from finprint.detector import TrainedDetector
from finprint.files import write_metrics
from finprint.params import load_params
from finprint.tables import PHOTOS, read_table


def main(photos: Place, detector: Place, crops: Place, metrics: Place) -> None:
    params = load_params()
    trained = TrainedDetector(detector) if TrainedDetector.enabled(detector) else None
    write_metrics(metrics, crop_photos(read_table(photos, PHOTOS), trained, params.crop, crops))


if __name__ == "__main__":
    run(main)
