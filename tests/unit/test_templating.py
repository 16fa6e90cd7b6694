"""Templates of mails: what they can say, that nothing outside their payload can be reached, and their bounds."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import nodes

from shared.errors import TemplateRefused
from shared.templating import LOOP_STEPS, OUTPUT_CHARACTERS, SOURCE_BYTES, checked
from shared.templating_filters import FILTERS

ORDER = {
    "payload": {
        "customer": "Ann <b>",
        "lines": [{"name": "Tea", "count": 2, "price": 3.5}, {"name": "Cup", "count": 1, "price": 9}],
        "note": None,
        "paid": True,
        "items": [3, 1, 2],
        "tags": {"b": 1, "a": 2},
    }
}


def rendered(source: str, payload: dict[str, Any] | None = None, *, html: bool = False) -> str:
    """Render *source* with a payload, by default that of an order."""
    return checked(source, html=html).render(ORDER if payload is None else payload)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Hello {{ payload.customer }}", "Hello Ann <b>"),
        ("{% for line in payload.lines %}{{ loop.index }} {{ line.name }}\n{% endfor %}", "1 Tea\n2 Cup\n"),
        ("{% for line in payload.lines if line.count > 1 %}{{ line.name }}{% endfor %}", "Tea"),
        ("{% if payload.paid %}paid{% else %}open{% endif %}", "paid"),
        ("{{ payload.note }}{{ payload.paid }}", "true"),
        ("{{ payload.absent|default('none') }}", "none"),
        ("{{ payload['items'][0] }}{{ payload.items|sort|join('') }}", "3123"),
        ("{% set total = payload.lines[0].count * payload.lines[0].price %}{{ total|round(2) }}", "7.0"),
        ("{{ 'a' ~ payload.items[1] ~ 'b' }}{{ 'c' + 'd' }}", "a1bcd"),
        ("{% for key, value in payload.tags|items %}{{ key }}={{ value }};{% endfor %}", "b=1;a=2;"),
        ("{{ payload.tags }}", '{"b": 1, "a": 2}'),
        ("{{ payload.lines|sort('price', true)|first|string|truncate(9) }}", '{"name":…'),
        ("{{ 'a, b'|split|last|upper }}{{ 'x y'|urlencode }}{{ ' t '|trim }}", "Bx%20yt"),
    ],
)
def test_says(source: str, expected: str) -> None:
    """Values, loops, conditions and filters work as those who know Jinja expect."""
    assert expected == rendered(source)


def test_html_escapes_what_the_payload_says() -> None:
    """Only what the template itself says is markup."""
    source = "<p>{{ payload.customer }}</p>{{ payload.customer|nl2br }}{{ '<i>' ~ payload.customer }}"
    assert "<p>Ann &lt;b&gt;</p>Ann &lt;b&gt;&lt;i&gt;Ann &lt;b&gt;" == rendered(source, html=True)


def test_payload_is_never_compiled() -> None:
    """Text of the payload that looks like a template stays text."""
    assert "{{ 7 * 7 }}{% raw %}" == rendered("{{ payload.x }}", {"payload": {"x": "{{ 7 * 7 }}{% raw %}"}})


@pytest.mark.parametrize(
    "source",
    [
        *("{{ payload.get('x') }}", "{{ range(9) }}", "{{ ''.join(['a']) }}", "{{ lipsum() }}", "{{ cycler('a') }}"),
        *("{% macro a() %}{% endmacro %}", "{% include 'x' %}", "{% import 'x' as y %}", "{% extends 'x' %}"),
        *("{% block a %}{% endblock %}", "{% filter upper %}a{% endfilter %}", "{% set a %}b{% endset %}"),
        *("{% call x() %}{% endcall %}", "{% set a.b = 1 %}", "{{ 2 ** 9 }}", "{{ payload[:2] }}", "{{ self }}"),
        *("{{ _x }}", "{{ payload|safe }}", "{{ payload|attr('x') }}", "{{ payload|map('x') }}", "{{ x is callable }}"),
        *("{{ payload|join(*payload) }}", "{% for i in x recursive %}{% endfor %}", "{{", "{% if %}", "{% for %}"),
        *("{% autoescape false %}{{ payload.customer }}{% endautoescape %}", "{% with a = 1 %}{% endwith %}"),
        *("{{" + "(" * 20_000 + "1" + ")" * 20_000 + "}}", "{{ " + "9" * 60_000 + " }}", "x" * (SOURCE_BYTES + 1)),
        "{% for i in [1] %}" * 40 + "{% endfor %}" * 40,
    ],
)
def test_refuses_when_it_is_stored(source: str) -> None:
    """What could reach outside, call something or is not a template is refused before it is ever used."""
    with pytest.raises(TemplateRefused):
        checked(source, html=True)


@pytest.mark.parametrize(
    "source",
    [
        *("{{ payload.absent }}", "{{ payload.customer.upper }}", "{{ payload.__class__ }}", "{{ ''['__class__'] }}"),
        *("{% for i in [1] %}{{ loop }}{% endfor %}", "{% for i in [1] %}{{ loop.cycle }}{% endfor %}"),
        *("{% for i in payload.customer %}{% endfor %}", "{{ 'a' * 99999999 }}", "{{ [1] * 99999999 }}", "{{ 1 / 0 }}"),
        *("{{ '%99999999d' % 3 }}", "{{ 999999999999999 * 999999999999999 * 9 }}", "{{ payload.note + 1 }}"),
        *("{{ -payload.customer }}", "{{ [] | first }}", "{{ 1 | join }}", "{{ payload.absent|upper }}"),
        *("{{ payload.customer is odd }}{{ payload.absent }}", "{{ 'a'|replace('', 'b') }}", "{{ 'a'|truncate(-1) }}"),
        "{{ payload.items|sort(reverse=true)|join(1) }}",
    ],
)
def test_refuses_while_it_renders(source: str) -> None:
    """What the payload lacks, and what no value can do, ends in a sentence."""
    with pytest.raises(TemplateRefused, match=r"\w"):
        rendered(source)


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in payload.many %}{% for b in payload.many %}{% endfor %}{% endfor %}",
        "{% for a in payload.many %}{{ payload.long }}{% endfor %}",
        "{% for a in payload.many %}{% set x = payload.long|upper %}{% endfor %}",
        "{% set x = payload.long %}" + "{% set x = x ~ x %}" * 60,
        "{% set x = payload.long %}" + "{% set x = x + x %}" * 60,
        "{{ payload.long|replace('x', payload.long) }}",
        "{% set x = [payload.long, payload.long] %}{{ x }}{{ payload.many|join(payload.long) }}",
        "{{ payload.long|split('x')|join(payload.long) }}",
    ],
)
def test_bounds(source: str) -> None:
    """Loops, output and what filters go through are bounded, whatever the payload."""
    payload = {"payload": {"many": list(range(LOOP_STEPS)), "long": "x" * (OUTPUT_CHARACTERS - 1)}}
    with pytest.raises(TemplateRefused):
        rendered(source, payload)


@pytest.mark.parametrize(
    "source",
    [
        "{% set a = ['x', 'x'] %}" + "{% set a = [a, a] %}" * 40 + "{{ a }}",
        "{% set a = {'x': 1} %}" + "{% set a = {'x': a, 'y': a} %}" * 40 + "{{ a|tojson }}",
        "{% set a = (1, 1) %}{% set b = (1, 1) %}" + "{% set a = (a, a) %}{% set b = (b, b) %}" * 40 + "{{ a == b }}",
        "{% set a = [payload, payload] %}{{ [" + "a, " * 1000 + "]|join }}",
        "{{ [" + "payload, " * 1000 + "]|sort|length }}",
        "{{ " + " ~ ".join(["payload"] * 1000) + " }}",
    ],
)
def test_what_holds_itself_twice_is_counted_as_often(source: str) -> None:
    """Lists of lists grow beyond all bounds in few steps, so that they are refused before anyone goes through them."""
    seconds = iter(range(10**9))
    with pytest.raises(TemplateRefused, match="too much text"):
        checked(source, html=False).render(
            {"payload": {"long": "x" * (OUTPUT_CHARACTERS // 2)}}, lambda: next(seconds) * 1e-9
        )


def test_comparisons_take_time_too() -> None:
    """A template of nothing but comparisons ends as well, by the clock that is given."""
    seconds = iter(range(100))
    source = checked("{% if " + " or ".join(["payload.a == payload.b"] * 9) + " %}{% endif %}", html=False)
    with pytest.raises(TemplateRefused, match="too long"):
        source.render({"payload": {"a": 1, "b": 2}}, lambda: float(next(seconds)))


def test_time_is_bounded() -> None:
    """Rendering ends once its seconds are over, by the clock that is given."""
    seconds = iter(range(100))
    source = checked("{% for i in payload.items %}{{ i }}{% endfor %}", html=False)
    with pytest.raises(TemplateRefused, match="too long"):
        source.render(ORDER, lambda: float(next(seconds)))


def test_constant() -> None:
    """A template without expressions says so: its recipients cannot come from a payload."""
    texts = ("ann@example.com", "", "{{ payload.x }}", "{% if 1 %}a{% endif %}")
    assert [True, True, False, False] == [checked(text, html=False).constant for text in texts]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
WORDS = st.sampled_from(
    [
        *("payload", ".x", "['x']", "[0]", "(", ")", "|", "{{", "}}", "{%", "%}", "for a in", "endfor", "if", "endif"),
        *("set a =", "1", "'t'", "~", "+", "*", "%", " ", "not", "is", "in", "defined", ",", "a", "<b>"),
        *sorted(FILTERS),
    ]
)


@given(st.lists(WORDS, max_size=14).map(" ".join), VALUES, st.booleans())
def test_only_ever_refuses(source: str, value: Any, html: bool) -> None:
    """Whatever stands in a template and in its payload, the end is a text or a refusal."""
    try:
        text = checked(source, html=html).render({"payload": value})
    except TemplateRefused:
        return
    assert isinstance(text, str)


@given(VALUES, st.sampled_from(sorted(FILTERS)))
def test_html_has_no_markup_from_the_payload(value: Any, name: str) -> None:
    """No filter lets markup of the payload through."""
    try:
        text = checked("{{ payload|" + name + " }}{{ payload }}", html=True).render({"payload": value})
    except TemplateRefused:
        return
    assert "<" not in text.replace("<br>", "")


def test_every_kind_of_node_was_considered() -> None:
    """Jinja has no kind of expression that this project has not decided on."""
    known = {kind.__name__ for kind in nodes.Expr.__subclasses__()}
    expected = {"BinExpr", "UnaryExpr", "Name", "NSRef", "Literal", "CondExpr", "_FilterTestCommon", "Call", "Getitem"}
    expected |= {"Getattr", "Slice", "Concat", "Compare", "EnvironmentAttribute", "ExtensionAttribute"}
    expected |= {"ImportedName", "InternalName", "MarkSafe", "MarkSafeIfAutoescape", "ContextReference"}
    assert expected | {"DerivedContextReference"} == known
