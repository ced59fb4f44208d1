"""crop: cut the animal out of every photo, into tar shards with an index."""

from finprint.base.cli import Input, Output, run
from finprint.base.files import write_metrics
from finprint.base.params import load_sections
from finprint.crops.cache import CropCache
from finprint.crops.cropping import crop_key, crop_photos
from finprint.crops.params import Crop
from finprint.detector.yolo import TrainedDetector
from finprint.engine.params import Engine
from finprint.store.tables import BOXES, PHOTOS, read_table


def main(photos: Input, boxes: Input, detector: Input, crops: Output, metrics: Output) -> None:
    params = load_sections(crop=Crop, engine=Engine)
    trained = TrainedDetector(detector) if TrainedDetector.enabled(detector) else None
    tables = read_table(photos, PHOTOS), read_table(boxes, BOXES)
    with CropCache(crop_key(params.crop, detector, params.engine), params.engine) as cache:
        counts = crop_photos(*tables, trained, params.crop, cache, crops)
    write_metrics(metrics, counts)
    if counts["rejects"]:
        print(f"{counts['rejects']} photos have no crop, each with its reason in {crops}/rejects.csv")


if __name__ == "__main__":
    run(main)
