"""embed and reembed: a unit vector for every crop."""

import numpy as np

from finprint.cli import Place, run
from finprint.embedding import embed
from finprint.files import sha256_path, write_metrics
from finprint.model import load_model
from finprint.params import load_params
from finprint.shards import Crops
from finprint.vectors import Vectors, write_vectors


def main(crops: Place, model: Place, vectors: Place, metrics: Place) -> None:
    params = load_params().embed
    stored = Crops(crops)
    embedder, _, _ = load_model(model)
    array = embed(embedder, stored.pixels, np.arange(len(stored)), **params.model_dump())
    write_vectors(vectors, Vectors(stored.index["image"], array, sha256_path(model)))
    write_metrics(metrics, {"crops": len(array), "dimensions": array.shape[1]})


if __name__ == "__main__":
    run(main)
