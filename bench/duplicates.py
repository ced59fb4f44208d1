"""Are copies found at every size and quality, and no unrelated photos joined? Photos of a folder, saved again.

Run in the activated environment: python bench/duplicates.py FOLDER [--photos 500]

For each size and quality: the share of the copies that `prepare.duplicate_bits` of params.yaml finds, and in how many
of 256 bits they differ from their original. Then the closest pairs of the folder's own photos, and what a hash costs.
"""

import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer
from PIL import Image

from finprint.params import load_params
from finprint.pictures.images import SUFFIXES, decode, perceptual_hash
from finprint.survey.readings import SHORTER_SIDE
from finprint.survey.splits import near_duplicates

SCALES = {"1/3": 1 / 3, "1/2": 1 / 2, "2/3": 2 / 3, "3/4": 3 / 4, "1": 1.0}
QUALITIES = (30, 60, 90)


def bits_of(path: Path) -> np.ndarray:
    """The hash of a photo as `prepare` reads it, `(32,)` uint8."""
    return perceptual_hash(*decode(path, SHORTER_SIDE))


def differences(path: Path, scratch: Path) -> dict[tuple[str, int], int]:
    """In how many bits the copies of a photo differ from it, by size and quality."""
    original = np.unpackbits(bits_of(path))
    pixels = Image.fromarray(decode(path)[0])
    counts = {}
    for scale, factor in SCALES.items():
        copy = pixels.resize(tuple(max(1, round(side * factor)) for side in pixels.size), Image.Resampling.LANCZOS)
        for quality in QUALITIES:
            saved = scratch / f"{path.stem}.jpg"
            copy.save(saved, quality=quality)
            counts[scale, quality] = int((np.unpackbits(bits_of(saved)) != original).sum())
    return counts


def closest(hashes: np.ndarray) -> tuple[int, int]:
    """The fewest bits in which two of the photos differ, and the number of their pairs."""
    low, high = -1, 256  # none differ in so few; some do in so many
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if len(near_duplicates(hashes, middle)) else (middle, high)
    return high, len(hashes) * (len(hashes) - 1) // 2


def main(folder: Path, photos: Annotated[int, typer.Option(help="photos to save again")] = 500) -> None:
    limit = load_params().prepare.duplicate_bits
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    chosen = [paths[k] for k in np.random.default_rng(0).permutation(len(paths))[:photos]]
    bits = defaultdict(list)
    with TemporaryDirectory() as scratch, ThreadPoolExecutor() as pool:
        for told in pool.map(differences, chosen, [Path(scratch)] * len(chosen)):
            for key, count in told.items():
                bits[key].append(count)
        hashes = np.stack(list(pool.map(bits_of, paths)))
    print(f"{len(chosen)} photos saved again; duplicate_bits: {limit}")
    print("size  quality   found   bits: median   99 %   most")
    for (scale, quality), counts in bits.items():
        median, hundredth, most = np.percentile(counts, [50, 99, 100])
        share = np.mean(np.array(counts) <= limit)
        print(f"{scale:<5} {quality:>6}  {share:>7.2%}  {median:>13.0f} {hundredth:>6.0f} {most:>6.0f}")
    print(f"all copies: {np.mean(np.concatenate([*bits.values()]) <= limit):.2%} found")
    joined = len(near_duplicates(hashes, limit))
    fewest, pairs = closest(hashes)
    print(f"{pairs} pairs of the {len(paths)} photos as they are: {joined} joined, fewest bits {fewest}")
    start = time.process_time()
    decoded = [decode(path, SHORTER_SIDE) for path in chosen]
    middle = time.process_time()
    for pixels, size in decoded:
        perceptual_hash(pixels, size)
    each = 1e6 / len(chosen)
    print(
        f"a photo: {(middle - start) * each:.0f} µs to decode, {(time.process_time() - middle) * each:.0f} µs to hash"
    )


if __name__ == "__main__":
    typer.run(main)
