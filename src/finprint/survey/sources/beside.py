"""Folders of photos with tables beside them, of dates or sides."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from finprint.survey.params import Prepare
from finprint.survey.sources.disk import walk
from finprint.survey.sources.guess import listed_beside
from finprint.survey.sources.source import FACTS, Source, in_one_form, table_names


def told_beside(source: Source, folder: Path, params: Prepare) -> Source:
    """The photos of folders, with what tables in the folder tell of them; what the folders tell is surer.

    Args:
        source: of the folder.
        folder: where the tables lie.
        params: the section `prepare`.
    """
    disk = walk(folder)
    names = {disk.path(name): name for name in disk.photos()}
    photos = pd.concat([source.labelled["path"], source.queries["path"]]).map(names).dropna()
    beside = listed_beside(disk, params.csv, photos.tolist(), table_names(params, folder, disk), named=True)
    if not beside:
        return source
    told = pd.concat(beside.values(), ignore_index=True).drop_duplicates("image").set_index("image")
    facts = in_one_form(told.reindex(columns=[fact for fact in FACTS if fact != "identity"]))
    labelled, queries = (
        table.fillna(facts.reindex(table["path"].map(names)).set_axis(table.index))
        for table in (source.labelled, source.queries)
    )
    return replace(
        source, labelled=labelled, queries=queries, strays=[one for one in source.strays if one[0] not in beside]
    )
