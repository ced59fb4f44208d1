# The environment of finprint, made by the step that makes it on any machine: `make env` (docs/scale.md).
#   docker build -t finprint .
#   docker build -t finprint:cuda --build-arg BASE=nvidia/cuda:13.2.1-base-ubuntu24.04 .
ARG BASE=python:3.11-slim
FROM ${BASE}

# Of these, the first image lacks git and make, the second Python as well.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends git make python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /finprint
COPY Makefile pyproject.toml requirements.lock README.md LICENSE ./
COPY src src
RUN make env

ENV PATH=/finprint/.venv/bin:${PATH}
CMD ["finprint", "--help"]
