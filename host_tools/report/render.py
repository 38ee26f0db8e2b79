"""The report's templates, filled in with autoescape: a name in the data is text, never markup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

__all__ = ["Markup", "Table", "render"]


@dataclass(frozen=True)
class Table:
    """A table of texts; a cell that is Markup already stays as it is."""

    columns: Sequence[str]
    lines: Sequence[Sequence[str]]
    numeric_from: int = 99  # the first column of numbers
    bars: bool = False  # whether the last column holds bars


def render(template: str, **values: object) -> Markup:
    """Fill in a file of templates/; a name that it uses and nobody gave is an error."""
    return Markup(_environment().get_template(template).render(**values))


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("host_tools.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
