"""embed and reembed: a unit vector for every crop."""

from finprint.base.cli import Input, Output, run
from finprint.base.files import write_metrics
from finprint.base.params import load_sections
from finprint.engine.params import Engine
from finprint.model.embedding import embed_crops
from finprint.model.params import Embed
from finprint.pictures.shards import Crops
from finprint.store.vectors import write_vectors


def main(crops: Input, model: Input, vectors: Output, metrics: Output) -> None:
    params = load_sections(embed=Embed, engine=Engine)
    embedded = embed_crops(model, Crops(crops), params.embed, engine=params.engine)
    write_vectors(vectors, embedded)
    write_metrics(metrics, {"crops": len(embedded.array), "dimensions": embedded.array.shape[1]})


if __name__ == "__main__":
    run(main)
