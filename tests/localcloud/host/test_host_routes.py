"""Which function a path belongs to."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.host.errors import StartError
from localcloud.host.functions import Function
from localcloud.host.routes import RouteTable, compile_template

NAMES = st.sampled_from(["id", "part", "n", "tenant_id"])
LITERALS = st.text("abcXYZ019-._~", min_size=1, max_size=6)
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1, max_size=8)


def function(name: str, route: str, *methods: str) -> Function:
    """Return an HTTP function."""
    trigger = {"name": "req", "type": "httpTrigger", "route": route, "methods": list(methods), "direction": "IN"}
    return Function(name, name, (trigger,))


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("a/{id}", "A/1", {"id": "1"}),
        ("a/{id}", "a", None),
        ("a/{id}", "a/1/2", None),
        ("a/{id?}", "a", {}),
        ("a/{id=7}", "a", {"id": "7"}),
        ("a/{id=7}", "a/8", {"id": "8"}),
        ("a/{*rest}", "a/1/2", {"rest": "1/2"}),
        ("a/{*rest}", "a", {}),
        ("{**rest}", "a/b", {"rest": "a/b"}),
        ("a/{id:int}", "a/12", {"id": "12"}),
        ("a/{id:int}", "a/x", None),
        (
            "a/{id:guid}/raw",
            "a/0b1c2d3e-0000-4000-8000-00000000000f/raw",
            {"id": "0b1c2d3e-0000-4000-8000-00000000000f"},
        ),
        ("a/{id:length(2,3)}", "a/xyz", {"id": "xyz"}),
        ("a/{id:length(2)}", "a/xyz", None),
        ("a/{id:minlength(2):maxlength(3)}", "a/xyzw", None),
        ("a/{id:range(1,5)}", "a/6", None),
        ("a/{id:min(2)}", "a/x", None),
        ("a/{id:regex(^b+$)}", "a/bbb", {"id": "bbb"}),
        ("files/{name}.{ending}", "files/a.b.txt", {"name": "a.b", "ending": "txt"}),
        ("", "", {}),
    ],
)
def test_templates(template: str, path: str, expected: dict[str, str] | None) -> None:
    """Each form of an ASP.NET template takes what it should."""
    assert expected == compile_template(template).match(path)


@pytest.mark.parametrize(
    "template", ["a/{id", "a/{id:nothing}", "a/{1d}", "{x}/{x}", "a/b{*c}", "{id:length(x)}", "{id:regex([)}"]
)
def test_bad_templates(template: str) -> None:
    """A malformed template is refused by name."""
    with pytest.raises(StartError, match="route "):
        compile_template(template)


def test_order() -> None:
    """Literal before mixed and constrained, before free, before catch-all; a method that does not fit passes on."""
    routes = ["a/{*all}", "a/{id}", "a/{id:int}", "a/known", "a"]
    table = RouteTable("api", [function(route, route) for route in routes])
    found = [table.find("GET", f"/api/{path}") for path in ("a", "a/known", "a/1", "a/x", "a/x/y")]

    assert ["a", "a/known", "a/{id:int}", "a/{id}", "a/{*all}"] == [each[0].name for each in found if each]


def test_methods() -> None:
    """Functions with one route and different methods live side by side."""
    table = RouteTable("api", [function("read", "a", "GET"), function("write", "a", "POST", "PUT")])
    found = [table.find(method, "/api/a") for method in ("GET", "PUT", "DELETE")]

    assert ["read", "write", None] == [each and each[0].name for each in found]


@given(st.lists(st.tuples(LITERALS, VALUES), min_size=1, max_size=4))
def test_parameters_come_back(pairs: list[tuple[str, str]]) -> None:
    """Whatever a client puts into a parameter, percent-encoded, arrives as it was."""
    template = "/".join(f"{literal}/{{p{index}}}" for index, (literal, _) in enumerate(pairs))
    path = "/".join(f"{quote(literal, safe='')}/{quote(value, safe='')}" for literal, value in pairs)
    expected = {f"p{index}": value for index, (_, value) in enumerate(pairs)}
    found = RouteTable("api", [function("f", template)]).find("GET", f"/api/{path}")
    ours = {literal.casefold() for literal, _ in pairs} & {".", ".."}

    assert found or ours
    assert found is None or expected == found[1]


@given(
    st.lists(st.one_of(LITERALS, NAMES.map("{{{}}}".format)), min_size=1, max_size=5, unique=True), st.text(max_size=30)
)
def test_no_path_crashes(segments: list[str], path: str) -> None:
    """Any path either fits or does not."""
    found = RouteTable("", [function("f", "/".join(segments))]).find("GET", f"/{path}")

    assert found is None or set(found[1]) == {segment[1:-1] for segment in segments if segment.startswith("{")}
