"""crop: cut the animal out of every photo, into tar shards with an index."""

from finprint.cli import Place, run
from finprint.crop_cache import CropCache
from finprint.cropping import crop_key, crop_photos
from finprint.detector import TrainedDetector
from finprint.files import write_metrics
from finprint.params import load_params
from finprint.tables import BOXES, PHOTOS, read_table


def main(photos: Place, boxes: Place, detector: Place, crops: Place, metrics: Place) -> None:
    params = load_params()
    trained = TrainedDetector(detector) if TrainedDetector.enabled(detector) else None
    tables = read_table(photos, PHOTOS), read_table(boxes, BOXES)
    with CropCache(crop_key(params.crop, detector)) as cache:
        found = crop_photos(*tables, trained, params.crop, cache, crops)
    write_metrics(metrics, found)
    if found["rejects"]:
        print(f"{found['rejects']} photos have no crop, each with its reason in {crops}/rejects.csv")


if __name__ == "__main__":
    run(main)
