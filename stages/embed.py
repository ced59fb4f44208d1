"""embed and reembed: a unit vector for every crop."""

from finprint.cli import Place, run
from finprint.embedding import embed_crops
from finprint.files import write_metrics
from finprint.params import load_params
from finprint.shards import Crops
from finprint.vectors import write_vectors


def main(crops: Place, model: Place, vectors: Place, metrics: Place) -> None:
    params = load_params()
    found = embed_crops(model, Crops(crops), params.embed)
    write_vectors(vectors, found)
    write_metrics(metrics, {"crops": len(found.array), "dimensions": found.array.shape[1]})


if __name__ == "__main__":
    run(main)
