"""The section `evaluate` of params.yaml."""

from typing import Annotated

from pydantic import Field

from finprint.base.params import Count, Section


class Evaluate(Section):
    bootstrap: Count
    explained: Annotated[int, Field(ge=0)]
