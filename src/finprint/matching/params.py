"""The section `fold` of params.yaml."""

from typing import Annotated

from pydantic import Field, model_validator

from finprint.base.params import Section


class Fold(Section):
    left_out: list[Annotated[int, Field(ge=0)]]

    @model_validator(mode="after")
    def _once_each(self) -> "Fold":
        twice = sorted({fold for fold in self.left_out if self.left_out.count(fold) > 1})
        if twice:
            raise ValueError(f"left_out names {twice[0]} twice")
        return self
