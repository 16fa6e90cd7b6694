"""
Templates of mails: Jinja's expressions, conditions and loops, over a payload that is data only, within fixed bounds.

Nothing is callable in a template, so nothing outside its payload can be reached: no method, global, macro or import.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, nodes, pass_context
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from shared.errors import TemplateRefused
from shared.templating_filters import BUDGET, FILTERS, TESTS, Budget, OutOfBounds, budget_of, measured, shown

SOURCE_BYTES = 64 * 1024
OUTPUT_CHARACTERS = 1024 * 1024
LOOP_STEPS = 10_000
WORK_CHARACTERS = 16 * OUTPUT_CHARACTERS
SECONDS = 2.0

_ALLOWED: tuple[type[nodes.Node], ...] = (
    *(nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Assign, nodes.Name, nodes.Const),
    *(nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.CondExpr, nodes.Filter, nodes.Test, nodes.Keyword),
    *(nodes.Getattr, nodes.Getitem, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not),
    *(nodes.Concat, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos),
)
_LOOP = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "depth0"})
_JINJAS_OWN = frozenset({"self", "super", "caller", "varargs", "kwargs"})
_LARGEST = 10**15
_BROKEN = (RecursionError, MemoryError, SyntaxError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class Source:
    """A checked template; *html* escapes what the payload says, *constant* tells that it has no expressions."""

    template: Template
    constant: bool

    def render(self, payload: Mapping[str, Any], monotonic: Callable[[], float] = time.monotonic) -> str:
        """
        Return the text for *payload*, whose values are what JSON can say.

        Raises `TemplateRefused` for a name that the payload lacks, and beyond 1 MiB of output, 10,000 loop steps, or
        the work and time that these may take.
        """
        budget = Budget(LOOP_STEPS, WORK_CHARACTERS, monotonic() + SECONDS, monotonic)
        context = self.template.new_context({**payload, BUDGET: budget})
        parts: list[str] = []
        left = OUTPUT_CHARACTERS
        try:
            for part in self.template.root_render_func(context):
                left -= len(part)
                if left < 0:
                    raise OutOfBounds(f"The output is longer than {OUTPUT_CHARACTERS} characters.")
                budget.check_time()
                parts.append(part)
        except (OutOfBounds, TemplateError) as error:
            raise TemplateRefused(str(error)) from None
        except (ArithmeticError, TypeError, LookupError, AttributeError, *_BROKEN) as error:
            message = f"The template cannot be rendered with this payload: {type(error).__name__} in an expression."
            raise TemplateRefused(message) from None
        return "".join(parts)


def checked(source: str, *, html: bool) -> Source:
    """
    Return the template of *source*, a text of at most 64 KiB.

    Raises `TemplateRefused` with the line of what is not allowed.
    """
    if len(source.encode("utf-8", "surrogatepass")) > SOURCE_BYTES:
        raise TemplateRefused(f"A template may take at most {SOURCE_BYTES} bytes.")
    environment = _HTML if html else _PLAIN
    try:
        tree = environment.parse(source)
        constant = _checked_nodes(tree)
        _count_loops(tree)
        template = Template.from_code(environment, environment.compile(tree), environment.make_globals(None))
    except TemplateRefused:
        raise
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        raise TemplateRefused(f"{error.message or 'not a template'}{f' (line {line})' if line else ''}") from None
    except _BROKEN:
        raise TemplateRefused("The template is nested too deeply, or a number in it is too long.") from None
    return Source(template, constant)


def _checked_nodes(tree: nodes.Template) -> bool:
    """Return whether the template is plain text; raises `TemplateRefused` for what is not allowed."""
    constant = True
    pending: list[nodes.Node] = list(tree.iter_child_nodes())
    while pending:
        node = pending.pop()
        if not isinstance(node, _ALLOWED):
            raise _refused(node, "only values, filters, if, for and set can be used here, and nothing can be called")
        constant = constant and isinstance(node, (nodes.Output, nodes.TemplateData))
        _check_one(node)
        pending.extend(node.iter_child_nodes())
    return constant


def _check_one(node: nodes.Node) -> None:
    if isinstance(node, nodes.Name) and (node.name.startswith("_") or node.name in _JINJAS_OWN):
        raise _refused(node, f"the name {node.name!r} cannot be used here")
    if isinstance(node, nodes.For) and node.recursive:
        raise _refused(node, "a loop may not be recursive")
    if isinstance(node, nodes.Assign) and not isinstance(node.target, nodes.Name):
        raise _refused(node, "set takes one name")
    if isinstance(node, nodes.Filter) and (node.node is None or node.name not in FILTERS):
        raise _refused(node, f"there is no filter {node.name!r}; there are {', '.join(sorted(FILTERS))}")
    if isinstance(node, (nodes.Filter, nodes.Test)) and (node.dyn_args or node.dyn_kwargs):
        raise _refused(node, "a filter's arguments are written one by one")
    if isinstance(node, nodes.Test) and node.name not in TESTS:
        raise _refused(node, f"there is no test {node.name!r}; there are {', '.join(sorted(TESTS))}")


def _refused(node: nodes.Node, why: str) -> TemplateRefused:
    return TemplateRefused(f"Line {node.lineno}: {why}." if node.lineno else f"{why[0].upper()}{why[1:]}.")


def _count_loops(tree: nodes.Template) -> None:
    """Have every loop, joining of texts, list or object made, and comparison counted while it runs."""
    for loop in tree.find_all(nodes.For):
        loop.iter = _filtered(loop.iter, "steps")
    every = [tree, *tree.find_all(nodes.Node)]
    for parent in every:
        for name, value in parent.iter_fields():
            if isinstance(value, nodes.Node):
                setattr(parent, name, _counted(value))
            elif isinstance(value, list):
                value[:] = [_counted(item) for item in value]
    for node in every:
        if isinstance(node, nodes.Compare):
            node.expr = _filtered(node.expr, "timed")


def _counted(node: Any) -> Any:
    """Return *node*, or what counts it. A list may hold another twice, and so grow beyond all bounds in few steps."""
    if isinstance(node, nodes.Concat):
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), "joined")
    made = isinstance(node, (nodes.List, nodes.Dict)) or (isinstance(node, nodes.Tuple) and node.ctx == "load")
    return _filtered(node, "made") if made else node


def _filtered(node: nodes.Expr | nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(node, f"{BUDGET}{name}", [], [], None, None, lineno=node.lineno)


class _Environment(ImmutableSandboxedEnvironment):
    """Knows JSON's values only: an attribute is a key, and operators take numbers or short texts."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return the value of a key, or what a loop says of itself."""
        if isinstance(obj, LoopContext) and attribute in _LOOP:
            return getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return the value of a key or of a position; anything else is undefined."""
        if isinstance(obj, dict) and isinstance(argument, str) and argument in obj:
            return obj[argument]
        if isinstance(obj, list) and type(argument) is int and -len(obj) <= argument < len(obj):
            return obj[argument]
        return self.undefined(obj=obj, name=argument)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Calculate with numbers of at most fifteen digits, or put two texts together by ``+``."""
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            budget_of(context).work(len(left) + len(right))
            return left + right
        for number in (left, right):
            if type(number) not in (int, float) or not abs(number) <= _LARGEST:
                raise OutOfBounds(f"{operator} takes numbers of at most fifteen digits; ~ puts texts together.")
        return super().call_binop(context, operator, left, right)


@pass_context
def _steps(context: Any, value: Any) -> Iterator[Any]:
    """Yield the items of a loop, and count them."""
    if not isinstance(value, (list, tuple, dict)):
        if isinstance(value, StrictUndefined):
            value._fail_with_undefined_error()  # noqa: SLF001 - how an undefined value says its name
        raise OutOfBounds("A loop runs over a list, or over the keys of an object.")
    budget = budget_of(context)
    for item in value:
        budget.step()
        yield item


@pass_context
def _joined_texts(context: Any, parts: list[Any]) -> str:
    budget, texts = budget_of(context), list[str]()
    for part in parts:
        text = shown(part)
        texts.append(text if isinstance(text, str) else str(text))
        budget.work(len(texts[-1]))
    safe = any(isinstance(text, Markup) for text in texts)
    return Markup("").join(texts) if safe else "".join(texts)


@pass_context
def _made(context: Any, value: Any) -> Any:
    return measured(budget_of(context), value)


@pass_context
def _timed(context: Any, value: Any) -> Any:
    budget_of(context).check_time()
    return value


_OURS = {f"{BUDGET}steps": _steps, f"{BUDGET}joined": _joined_texts, f"{BUDGET}made": _made, f"{BUDGET}timed": _timed}


def _environment(*, html: bool) -> _Environment:
    environment = _Environment(autoescape=html, undefined=StrictUndefined, finalize=shown, keep_trailing_newline=True)
    environment.globals.clear()
    environment.filters.clear()
    environment.filters.update(FILTERS)
    environment.filters.update(_OURS)
    environment.tests.clear()
    environment.tests.update(TESTS)
    return environment


_PLAIN, _HTML = _environment(html=False), _environment(html=True)
