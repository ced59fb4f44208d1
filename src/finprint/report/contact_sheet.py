"""Confusing photos, each beside what it was taken for, as one picture."""

import io

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from finprint.paper.figure import INK
from finprint.pictures.shards import Crops

SHOWN = 24  # photos on the contact sheet


def contact_sheet(listed: pd.DataFrame, crops: Crops) -> bytes:
    """A PNG of the first photos listed, each beside the photo that its answer comes from."""
    shown = listed.head(SHOWN).to_dict("records")
    rows = max(1, -(-len(shown) // 4))
    figure = Figure(figsize=(12, 2.1 * rows), dpi=110, layout="constrained")
    axes = np.atleast_2d(figure.subplots(rows, 8))
    for axis in axes.ravel():
        axis.set_axis_off()
    for place, row in enumerate(shown):
        left, right = axes[place // 4, 2 * (place % 4) : 2 * (place % 4) + 2]
        heads = (
            f"{row['image']}\nlabelled {row['identity']}",
            f"{row['why']}: {row['probability']:.2f}\n{row['answered']}",
        )
        for axis, image, head in zip((left, right), (row["image"], row["match"]), heads, strict=True):
            axis.set_title(head, fontsize=6, color=INK, parse_math=False)  # a name may hold dollars
            if not pd.isna(image):
                axis.imshow(crops.pixels(int(crops.rows(pd.Series([image]))[0])), interpolation="bilinear")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
