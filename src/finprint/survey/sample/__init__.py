"""A pod of drawn whales and dolphins: photographs and tables of a survey that never took place."""

from __future__ import annotations

from finprint.survey.sample.draw import draw_pod

__all__ = ["draw_pod"]
