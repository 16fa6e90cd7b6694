"""The pages that a tenant's administrator sees, rendered from the templates beside this module."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

_FOLDER = Path(__file__).parent


def render(template: str, **values: Any) -> str:
    """Return a page; every value is escaped, a missing one is an error."""
    return _environment().get_template(template).render(values)


@cache
def style() -> bytes:
    """Return the style sheet of the consent pages; the colours are those of the console."""
    return (_FOLDER / "tokens.css").read_bytes() + (_FOLDER / "style.css").read_bytes()


@cache
def sheet(name: str) -> bytes:
    """Return the style sheet *name* of a page, after the colours of all."""
    return (_FOLDER / "tokens.css").read_bytes() + (_FOLDER / name).read_bytes()


@cache
def _environment() -> "Environment":
    # Pages are rare, and a start of the app should not wait for what they are made with.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - see above

    loader = FileSystemLoader(_FOLDER)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
