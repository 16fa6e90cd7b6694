"""How is the text of a ``$filter`` read into its tree."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from localcloud.graph.filters import TEXT_FUNCTIONS, AnyOf, Comparison, Logical, Node
from localcloud.mail.errors import MailError, bad_request

_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*')"
    r"|(?P<date>\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?)"
    r"|(?P<number>-?\d+(?:\.\d+)?)"
    r"|(?P<name>[A-Za-z_@][\w.]*(?:/[A-Za-z_][\w.]*)*)"
    r"|(?P<mark>[(),:]))"
)
_COMPARISONS = ("eq", "ne", "gt", "ge", "lt", "le")
_MAX_DEPTH = 50


def parse_filter(text: str) -> Node:
    """
    Return the expression tree of *text*.

    Raises:
        MailError: 400 where it is no expression of this language.
    """
    parser = _Parser(list(_tokens(text)))
    node = parser.disjunction()
    if parser.position != len(parser.tokens):
        raise invalid_filter()
    return node


def invalid_filter() -> MailError:
    """Return Graph's refusal of a filter that it cannot read."""
    return bad_request("Invalid filter clause: syntax error.", "BadRequest")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    stripped = text.rstrip()
    while position < len(stripped):
        match = _TOKEN.match(stripped, position)
        if match is None or match.lastgroup is None:
            raise invalid_filter()
        yield match.lastgroup, match[match.lastgroup]
        position = match.end()


class _Parser:
    """Recursive descent over the tokens."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens = tokens
        self.position = 0
        self.depth = 0

    def disjunction(self) -> Node:
        """Read ``a or b or …``."""
        return self._chain("or", lambda: self._chain("and", self._term))

    def _chain(self, operator: str, part: Callable[[], Node]) -> Node:
        terms = [part()]
        while self._accept_word(operator):
            terms.append(part())
        return terms[0] if len(terms) == 1 else Logical(operator, tuple(terms))

    def _term(self) -> Node:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise invalid_filter()
        try:
            if self._accept_word("not"):
                return Logical("not", (self._term(),))
            if self._accept_mark("("):
                node = self.disjunction()
                self._expect(")")
                return node
            return self._predicate()
        finally:
            self.depth -= 1

    def _predicate(self) -> Node:
        name = self._take("name")
        if name.casefold() in TEXT_FUNCTIONS and self._accept_mark("("):
            path = self._take("name")
            self._expect(",")
            value = self._literal()
            self._expect(")")
            if self._accept_word("eq"):
                wanted = self._literal()
                return Comparison(name.casefold(), path, value) if wanted is True else Logical(
                    "not", (Comparison(name.casefold(), path, value),))  # fmt: skip
            return Comparison(name.casefold(), path, value)
        collection, slash, last = name.rpartition("/")
        if slash and last.casefold() == "any" and self._accept_mark("("):
            variable = self._take("name")
            self._expect(":")
            condition = _without_variable(self.disjunction(), variable)
            self._expect(")")
            return AnyOf(collection, variable, condition)
        operator = self._take("name").casefold()
        if operator not in _COMPARISONS:
            raise invalid_filter()
        return Comparison(operator, name, self._literal())

    def _literal(self) -> Any:
        kind, text = self._next()
        if kind == "string":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return float(text)
        if kind == "date":
            return _moment(text)
        words = {"true": True, "false": False, "null": None}
        if kind == "name" and text.casefold() in words:
            return words[text.casefold()]
        raise invalid_filter()

    def _next(self) -> tuple[str, str]:
        if self.position >= len(self.tokens):
            raise invalid_filter()
        self.position += 1
        return self.tokens[self.position - 1]

    def _take(self, kind: str) -> str:
        found, text = self._next()
        if found != kind:
            raise invalid_filter()
        return text

    def _expect(self, mark: str) -> None:
        if self._next() != ("mark", mark):
            raise invalid_filter()

    def _accept_mark(self, mark: str) -> bool:
        found = self.position < len(self.tokens) and self.tokens[self.position] == ("mark", mark)
        self.position += found
        return found

    def _accept_word(self, word: str) -> bool:
        if self.position >= len(self.tokens):
            return False
        kind, text = self.tokens[self.position]
        found = kind == "name" and text.casefold() == word
        self.position += found
        return found


def _without_variable(node: Node, variable: str) -> Node:
    if isinstance(node, Logical):
        return Logical(node.operator, tuple(_without_variable(term, variable) for term in node.terms))
    if isinstance(node, AnyOf):
        return node
    return Comparison(node.operator, node.path.removeprefix(f"{variable}/"), node.value)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid_filter() from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
