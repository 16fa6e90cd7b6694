"""The console as it is served: a shell without data, files that are cached for ever, and what none of them may do."""

import re
from pathlib import PurePosixPath

import azure.functions as func
import pytest

from functions import console_http
from functions.consent_pages import MAIL_ROLE_IDS
from functions.console_files import FIRST, files, version
from localcloud.world import GRAPH_APP_ROLES
from shared.grants import REQUIRED_ROLES
from tests.scenes.administration import settings
from tests.scenes.calls import Caller

FIRST_VIEW_BYTES = 100_000
SCRIPTS = [path for path in files() if path.endswith(".js")]
IMPORT = re.compile(r"""(?:from\s+|import\(|import\s+)'([^']+)'""")
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\('style'|style:|srcdoc"
    r"|localStorage|document\.cookie|createContextualFragment|DOMParser"
)


@pytest.fixture(scope="module")
def caller() -> Caller:
    """Return the routes of the console."""
    return Caller(console_http.blueprint(settings()))


def shell(caller: Caller) -> func.HttpResponse:
    """Return the shell."""
    return caller.call("GET", "console", headers={})


def address(path: str) -> str:
    """Return the route of a file of this version."""
    return f"console/{version()}/{path}"


def test_the_shell_lets_nothing_in(caller: Caller) -> None:
    """Only our own files run or style it, no text becomes markup, nothing frames it, and no cache keeps it."""
    answer = shell(caller)
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["Content-Security-Policy"].split(";"))

    assert (200, "text/html") == (answer.status_code, answer.mimetype)
    assert {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "frame-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    } == policy
    assert ("no-store", "nosniff", "no-referrer", "same-origin") == tuple(
        answer.headers[name]
        for name in ("Cache-Control", "X-Content-Type-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy")
    )


def test_the_shell_holds_no_data_and_no_script(caller: Caller) -> None:
    """Whatever is asked for and whoever asks: it is the same text, and every script and style is a file."""
    html = shell(caller).get_body().decode()
    headers = {"x-functions-key": "a-key-to-leak", "Host": "evil.example"}
    asked = caller.call("GET", "console?code=a-key-to-leak&x=<script>", headers=headers).get_body().decode()

    assert html == asked
    assert [] == [tag for tag in re.findall(r"<script[^>]*>", html) if "src=" not in tag]
    assert None is re.search(r"<style|\sstyle=|\son\w+=|javascript:|https?:", html)
    assert ["main", "live"] == [name for name in ("main", "live") if f'id="{name}"' in html]


def test_every_address_in_the_shell_leads_to_a_file(caller: Caller) -> None:
    """All of them below the console's own route."""
    html = shell(caller).get_body().decode()
    addresses = re.findall(r'(?:href|src)="([^"#]+)"', html)

    assert len(addresses) >= len(FIRST) + 3
    for found in addresses:
        assert found.startswith("/api/console/")
        assert 200 == caller.call("GET", found, headers={}).status_code


@pytest.mark.parametrize("path", list(files()))
def test_a_file_is_kept_for_ever(caller: Caller, path: str) -> None:
    """Its address changes with it; its type is told and not guessed."""
    answer = caller.call("GET", address(path), headers={})
    kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

    assert (200, kinds[PurePosixPath(path).suffix]) == (answer.status_code, answer.mimetype)
    assert "public, max-age=31536000, immutable" == answer.headers["Cache-Control"]
    assert "nosniff" == answer.headers["X-Content-Type-Options"]
    assert "default-src 'none'; frame-ancestors 'none'" == answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    [
        "views/../../console.html",
        "../style.css",
        "..%2fstyle.css",
        "/etc/passwd",
        "console.html",
        "views",
        "MAIN.js",
        "x.js",
    ],
)
def test_no_other_file_is_there(caller: Caller, path: str) -> None:
    """What is no file of this version is 404, and no cache keeps that."""
    answer = caller.call("GET", address(path), headers={})

    assert (404, "no-store") == (answer.status_code, answer.headers["Cache-Control"])


@pytest.mark.parametrize("other", ["0000000000000000", "x"])
def test_another_version_is_not_there(caller: Caller, other: str) -> None:
    """A tab that is older than the deployment gets no mixture; the router tells it to load the page again."""
    assert 404 == caller.call("GET", f"console/{other}/main.js", headers={}).status_code


@pytest.mark.parametrize("path", SCRIPTS)
def test_a_module_imports_what_is_there(path: str) -> None:
    """By a relative name, so that its version is its importer's."""
    text = files()[path].content.decode()
    for name in IMPORT.findall(text):
        assert name.startswith((".", "..")), name
        parts = [*PurePosixPath(path).parent.parts]
        for part in PurePosixPath(name).parts:
            parts = parts[:-1] if part == ".." else [*parts, part]
        assert "/".join(parts) in files(), name


@pytest.mark.parametrize("path", SCRIPTS)
def test_a_module_makes_no_markup_of_texts(path: str) -> None:
    """Whatever mail holds becomes a text node; the page's policy says so, and this says it before a browser does."""
    assert [] == FORBIDDEN.findall(files()[path].content.decode())


@pytest.mark.parametrize("path", [path for path in SCRIPTS if path.startswith("views/") and "-fields" not in path])
def test_a_view_is_shown_by_the_router_or_used_by_one(path: str) -> None:
    """No module lies about unused, and each that the router loads has a title and draws."""
    routed = f"./{path}" in files()["routes.js"].content.decode()
    name = f"./{PurePosixPath(path).name}"
    used = any(name in each.content.decode() for other, each in files().items() if other.startswith("views/"))
    text = files()[path].content.decode()

    assert routed or used
    assert not routed or ("export const title" in text and "export async function render(" in text)


def test_the_first_view_is_small(caller: Caller) -> None:
    """Shell, style, icon, the modules of every view, and the largest view with all that it imports."""
    parts = {path: len(each.content) for path, each in files().items()}

    def weight(path: str, seen: set[str]) -> int:
        if path in seen:
            return 0
        seen.add(path)
        found = IMPORT.findall(files()[path].content.decode()) if path.startswith("views/") else []
        near = [f"views/{name.removeprefix('./')}" for name in found if name.startswith("./")]
        return parts[path] + sum(weight(other, seen) for other in near)

    views = max(weight(path, set()) for path in parts if path.startswith("views/"))
    common = sum(size for path, size in parts.items() if not path.startswith("views/"))

    assert common + views + len(shell(caller).get_body()) < FIRST_VIEW_BYTES


def test_the_lines_to_paste_name_the_roles_by_their_ids() -> None:
    """The first steps ask for exactly what the product needs; a receipt takes back exactly the rights to mail."""
    lines = files()["views/commands.js"].content.decode()
    asked = {name: key for key, name in re.findall(r"\['([0-9a-f-]{36})', '([A-Za-z.]+)'", lines)}

    assert {name: GRAPH_APP_ROLES[name] for name in REQUIRED_ROLES} == asked
    assert tuple(GRAPH_APP_ROLES[name] for name in ("Mail.ReadWrite", "Mail.Send")) == MAIL_ROLE_IDS


def test_the_version_is_that_of_the_files() -> None:
    """Sixteen hexadecimal digits, the same whenever they are asked for."""
    first = version()
    version.cache_clear()

    assert re.fullmatch(r"[0-9a-f]{16}", first)
    assert first == version()
