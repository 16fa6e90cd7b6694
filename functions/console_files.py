"""The console's own files: scripts, styles and pictures, under a version that changes with any of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

_PAGES = Path(__file__).parent / "pages"
_FOLDER = _PAGES / "console"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
FIRST = ("main.js", "api.js", "dom.js", "router.js", "routes.js", "widgets.js", "forms.js")
"""The modules that every view needs: the browser is told at once, so that it need not find them one by one."""


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file as it is sent."""

    content: bytes
    mimetype: str


def file(path: str) -> StaticFile | None:
    """Return the file that modules know as *path*, such as ``views/grants.js``; None where there is none."""
    return files().get(path)


@cache
def files() -> Mapping[str, StaticFile]:
    """Return every file by its path; only these are ever served."""
    found = {
        each.relative_to(_FOLDER).as_posix(): StaticFile(each.read_bytes(), _TYPES[each.suffix])
        for each in sorted(_FOLDER.rglob("*"))
        if each.suffix in _TYPES
    }
    colours = (_PAGES / "tokens.css").read_bytes()
    return {**found, "console.css": StaticFile(colours + found["console.css"].content, "text/css")}


@cache
def version() -> str:
    """Return what stands in the files' addresses; modules name one another relatively, so all carry the same."""
    digest = sha256()
    for path, each in files().items():
        digest.update(path.encode() + b"\0" + each.content + b"\0")
    return digest.hexdigest()[:16]
