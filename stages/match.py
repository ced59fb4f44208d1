"""match: a second look at each query's likeliest individuals, by matched local features."""

from finprint.base.cli import Input, Inputs, Output, run
from finprint.base.files import write_metrics
from finprint.base.params import load_sections
from finprint.engine.params import Engine
from finprint.keypoints.look import second_look
from finprint.keypoints.params import Match
from finprint.keypoints.tables import write_second_look
from finprint.matching.catalogue import build_catalogue
from finprint.pictures.shards import Crops
from finprint.store.tables import PHOTOS, read_table
from finprint.store.vectors import read_vectors


def main(photos: Input, crops: Input, vectors: Inputs, matches: Output, metrics: Output) -> None:
    params = load_sections(match=Match, engine=Engine)
    survey = build_catalogue(read_table(photos, PHOTOS), *[read_vectors(folder) for folder in vectors])
    looked = second_look(survey.photos, survey.blend(), Crops(crops), params.match, params.engine)
    for image in looked.too_small:
        print(f"{image} is too small for local features: its pairs get no score")
    if looked.learned:
        print(looked.learned)
    write_second_look(matches, looked)
    write_metrics(metrics, looked.metrics())


if __name__ == "__main__":
    run(main)
