"""Is every $filter read as it is meant, and refused without harm where it means nothing."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.graph.filter_parser import parse_filter
from localcloud.graph.filters import AnyOf, Comparison, Logical, Node, comparisons, matches, paths
from localcloud.mail.errors import MailError

OPERATORS = ("eq", "ne", "gt", "ge", "lt", "le")
NAMES = ("subject", "from/emailAddress/address", "isRead", "receivedDateTime")
MOMENTS = st.integers(0, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
LITERALS = st.one_of(st.text(max_size=12), st.booleans(), st.none(), MOMENTS, st.integers(-999, 999).map(float))
COMPARISONS = st.builds(Comparison, st.sampled_from(OPERATORS), st.sampled_from(NAMES), LITERALS)
FUNCTIONS = st.builds(
    Comparison, st.sampled_from(("startswith", "endswith", "contains")), st.sampled_from(NAMES), st.text(max_size=8)
)
WORDS = st.sampled_from(("and", "or"))
TREES = st.recursive(
    st.one_of(COMPARISONS, FUNCTIONS),
    lambda inner: st.one_of(
        st.builds(lambda term: Logical("not", (term,)), inner),
        st.builds(lambda word, terms: Logical(word, tuple(terms)), WORDS, st.lists(inner, min_size=2, max_size=3)),
    ),
    max_leaves=8,
)


def literal(value: Any) -> str:
    """Write *value* as OData does."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return (
        {True: "true", False: "false", None: "null"}[value]
        if value is None or isinstance(value, bool)
        else f"{value:g}"
    )


def written(node: Node) -> str:
    """Write *node* with brackets around every part."""
    if isinstance(node, Comparison):
        if node.operator in OPERATORS:
            return f"{node.path} {node.operator} {literal(node.value)}"
        return f"{node.operator}({node.path},{literal(node.value)})"
    if isinstance(node, AnyOf):
        return f"{node.collection}/any({node.variable}:{written(node.condition)})"
    if node.operator == "not":
        return f"not ({written(node.terms[0])})"
    return f" {node.operator} ".join(f"({written(term)})" for term in node.terms)


@given(TREES)
def test_round_trip(tree: Node) -> None:
    """Any expression that is written out is read back as the same tree."""
    assert tree == parse_filter(written(tree))


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text does anything but parse or raise Graph's 400."""
    assert outcome(text) in ("parsed", 400)


def outcome(text: str) -> str | int:
    """Return what reading *text* comes to."""
    try:
        parse_filter(text)
    except MailError as error:
        return error.status
    return "parsed"


@given(
    st.lists(
        st.sampled_from(["(", ")", "not", "and", "or", "subject", "eq", "'x'", ",", ":", "any", "startswith", "a/any"]),
        max_size=20,
    )
)
def test_any_sequence_of_words_is_read_or_refused(words: list[str]) -> None:
    """Misplaced words of the language are refused like any other text."""
    assert outcome(" ".join(words)) in ("parsed", 400)


@given(TREES, st.fixed_dictionaries(dict.fromkeys(NAMES, LITERALS)))
def test_not_is_the_opposite(tree: Node, thing: dict[str, Any]) -> None:
    """Exactly one of an expression and its negation holds, for any thing."""
    assert matches(tree, thing.__getitem__) is not matches(Logical("not", (tree,)), thing.__getitem__)


def test_and_binds_closer_than_or() -> None:
    """Without brackets, and comes before or."""
    node = parse_filter("isRead eq true or isRead eq false and subject eq 'x'")

    assert "or" == node.operator if isinstance(node, Logical) else False
    assert matches(node, {"isRead": True, "subject": "y"}.__getitem__)


def test_any_over_extended_properties() -> None:
    """The variable of an any is taken off the paths in its condition."""
    node = parse_filter("singleValueExtendedProperties/Any(ep: ep/id eq 'String 0x1' and ep/value eq 'v')")

    assert isinstance(node, AnyOf)
    assert [Comparison("eq", "id", "String 0x1"), Comparison("eq", "value", "v")] == comparisons(node)
    assert ["singleValueExtendedProperties"] == paths(node)


def test_text_is_compared_without_case_and_null_equals_null_only() -> None:
    """The comparisons are those of Graph."""
    thing = {"subject": "Straße", "from": None}

    assert matches(parse_filter("subject eq 'STRASSE'"), thing.__getitem__)
    assert matches(parse_filter("from eq null and subject ne null"), thing.__getitem__)
    assert not matches(parse_filter("from gt 'a'"), thing.__getitem__)
    assert not matches(parse_filter("subject gt 5"), thing.__getitem__)


def test_depth_is_bounded() -> None:
    """Brackets without end are refused, not followed."""
    with pytest.raises(MailError):
        parse_filter("(" * 5000 + "isRead eq true" + ")" * 5000)
