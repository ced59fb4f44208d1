"""bundle: the trained system in one folder, with which `finprint identify` names new photos."""

from finprint.base.cli import Output, run
from finprint.base.files import write_metrics
from finprint.base.params import load_sections
from finprint.bundle.settings import Settings
from finprint.bundle.writing import read_finished, write_bundle
from finprint.crops.params import Crop
from finprint.keypoints.params import Match
from finprint.matching.params import Fold
from finprint.model.params import Embed


def main(data: Output, models: Output, bundle: Output, metrics: Output) -> None:
    params = load_sections(crop=Crop, embed=Embed, fold=Fold, match=Match)
    settings = Settings(crop=params.crop, embed=params.embed, match=params.match)
    finished = read_finished(data, models, params.fold.left_out)
    write_metrics(metrics, write_bundle(finished, settings, bundle))


if __name__ == "__main__":
    run(main)
