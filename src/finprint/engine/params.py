"""The section `engine` of params.yaml."""

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from finprint.base.params import Count, Section


class Engine(Section):
    counts: ClassVar = False  # the results are the same bits, so no stage but check depends on it

    kind: Literal["local", "ray"]
    address: str
    cpus: Annotated[int, Field(ge=0)]
    gpus: Annotated[float, Field(ge=0)]
    retries: Annotated[int, Field(ge=0)]
    ship: Literal["path", "bytes"]
    processes: Count

    @model_validator(mode="after")
    def _an_address_of_a_cluster(self) -> "Engine":
        if self.address and self.address != "auto" and not re.fullmatch(r"[^\s/:]+:\d{1,5}", self.address):
            raise ValueError(
                f"address must be '', auto or HOST:PORT, as `ray start --head` prints it, not {self.address!r}"
            )
        return self


def on_cluster(address: str) -> Engine:
    """The engine that sends photos to a Ray cluster, for work outside of a project."""
    return LOCAL.model_copy(update={"kind": "ray", "address": address, "retries": 5, "ship": "bytes"})


LOCAL = Engine(kind="local", address="", cpus=0, gpus=0.0, retries=0, ship="path", processes=1)
