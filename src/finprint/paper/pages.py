"""Pages for people: a template beside the module that fills it."""

from pathlib import Path

from jinja2 import Environment, Template


def template(module: str) -> Template:
    """The template of the module's name, .html, with everything escaped that is put into it.

    Args:
        module: `__file__` of the module.
    """
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(Path(module).with_suffix(".html").read_text(encoding="utf-8"))
