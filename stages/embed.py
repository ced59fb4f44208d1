"""embed and reembed: a unit vector for every crop."""

import numpy as np

from finprint.cli import Place, run
from finprint.embedding import centres, embed
from finprint.files import sha256_path, write_metrics
from finprint.model import load_model
from finprint.params import load_params
from finprint.shards import Crops
from finprint.vectors import Vectors, write_vectors


def main(crops: Place, model: Place, vectors: Place, metrics: Place) -> None:
    params = load_params().embed
    stored = Crops(crops)
    embedder, head, classes = load_model(model)
    array = embed(embedder, stored.pixels, np.arange(len(stored)), **params.model_dump())
    heads = centres(embedder, head, len(classes), params.mirror)
    found = Vectors(stored.index["image"], array, sha256_path(model), np.array(classes, object), heads)
    write_vectors(vectors, found)
    write_metrics(metrics, {"crops": len(array), "dimensions": array.shape[1]})


if __name__ == "__main__":
    run(main)
