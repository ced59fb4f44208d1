"""How far ImageNet's features go: MAP@5 of the frozen backbone beside that of the trained rounds.

Run after `dvc repro`, in the activated environment: python bench/frozen.py
"""

from pathlib import Path

import numpy as np
import timm
import torch
from torch import nn

from finprint.answers.search import search
from finprint.base.files import read_json
from finprint.evaluation.judging import both, judged_test, judged_validation
from finprint.matching.catalogue import build_catalogue
from finprint.model.backbone import PACKAGED, packaged_weights
from finprint.model.loading import batches, in_order, to_device
from finprint.model.views import plain_view
from finprint.params import load_params
from finprint.pictures.shards import Crops
from finprint.store.tables import PHOTOS, TRUTH, read_table
from finprint.store.vectors import Vectors


@torch.inference_mode()
def frozen_vectors(crops: Crops, image_size: int) -> np.ndarray:
    """Pooled last features, (N, 1280) unit vectors."""
    model = timm.create_model(PACKAGED[0])
    model.load_state_dict(packaged_weights(PACKAGED[0]))
    model.reset_classifier(0)
    model.eval()
    views = batches(lambda row: plain_view(crops.pixels(row), image_size), in_order(len(crops), 64))
    features = [model(2 * to_device(view, torch.device("cpu")) - 1) for view in views]  # mean = std = 0.5
    return nn.functional.normalize(torch.cat(features)).numpy()


def main() -> None:
    params = load_params()
    crops = Crops(Path("data/crops"))
    vectors = Vectors(crops.index["image"], frozen_vectors(crops, params.train.image_size), PACKAGED[0])
    catalogue = build_catalogue(read_table(Path("data/photos.parquet"), PHOTOS), vectors)
    answers = search(catalogue, params.search)
    truth = read_table(Path("data/truth.parquet"), TRUTH)
    frozen = both(judged_validation(catalogue, answers.validation), judged_test(catalogue, answers.test, truth))
    trained = read_json(Path("metrics/evaluate.json"))
    for split, scores in frozen.items():
        rounds = ", ".join(
            f"{name} {metrics[split]['map5']:.3f}"
            for name, metrics in (("round 1", trained["round1"]), ("round 2", trained))
        )
        print(f"MAP@5 on {split}: frozen {scores['map5']:.3f}, {rounds}")


if __name__ == "__main__":
    main()
