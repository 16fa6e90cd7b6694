"""What Bicep says, read with tree-sitter: files, declarations, literals, and faults with their places."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

_PARSER = Parser(Language(tree_sitter_bicep.language()))
_NAMED = "parameter_declaration", "variable_declaration", "resource_declaration", "module_declaration"


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """Something that is wrong, and where."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


def text(node: Node) -> str:
    """Return the source of *node*."""
    return (node.text or b"").decode()


def named(node: Node, *kinds: str) -> list[Node]:
    """Return the named children of *node*, of these *kinds* if any are given; comments left out."""
    return [child for child in node.named_children if child.type != "comment" and (not kinds or child.type in kinds)]


def walk(node: Node) -> Iterator[Node]:
    """Yield *node* and all below it."""
    todo = [node]
    while todo:
        current = todo.pop()
        yield current
        todo += reversed(current.children)


def literal(node: Node) -> str | None:
    """Return what a string without interpolations says, None for anything else."""
    if node.type != "string" or any(part.type == "interpolation" for part in node.named_children):
        return None
    return re.sub(r"\\(.)", r"\1", "".join(map(text, node.named_children)))


def properties(node: Node) -> Iterator[tuple[str | None, Node]]:
    """Yield name and value of each property of an object; the name is None where it is computed."""
    for entry in named(node, "object_property"):
        parts = named(entry)
        if len(parts) >= 2:
            yield literal(parts[0]) if parts[0].type == "string" else text(parts[0]), parts[1]


def body_of(node: Node) -> Node | None:
    """Return the object that a resource or module is given, within its conditions and loops."""
    for child in named(node):
        if child.type == "object":
            return child
        if child.type in {"if_statement", "for_statement"}:
            return body_of(child)
    return None


@dataclass(frozen=True)
class BicepFile:
    """One file, parsed; *name* stands in faults."""

    name: str
    path: Path
    source: str

    @classmethod
    def read(cls, path: Path, root: Path) -> "BicepFile":
        """Read the file at *path*; a parameter file is read as if its parameters were variables."""
        source = path.read_text(encoding="utf-8")
        if path.suffix == ".bicepparam":
            source = re.sub(r"^using .*$", "", source, flags=re.MULTILINE)
            source = re.sub(r"^param (\w+) =", r"var \1 =", source, flags=re.MULTILINE)
        return cls(path.relative_to(root).as_posix(), path, source)

    @cached_property
    def tree(self) -> Node:
        """The root of the syntax tree."""
        return _PARSER.parse(self.source.encode()).root_node

    @cached_property
    def nodes(self) -> list[Node]:
        """All nodes of the tree, in the file's order."""
        return list(walk(self.tree))

    def fault(self, node: Node, message: str) -> Fault:
        """Return the fault *message* at *node*."""
        return Fault(self.name, node.start_point[0] + 1, message)

    def syntax_faults(self) -> list[Fault]:
        """Return what the grammar does not know."""
        broken = [node for node in self.nodes if node.type == "ERROR" or node.is_missing]
        return [self.fault(node, f"syntax: not understood near {text(node)[:40]!r}") for node in broken]

    def declared(self, *kinds: str) -> dict[str, Node]:
        """Return the declarations of these *kinds* (all that have a value, if none is given) by name."""
        found = named(self.tree, *(kinds or _NAMED))
        return {text(named(node, "identifier")[0]): node for node in found}

    def value(self, name: str) -> Node | None:
        """Return what the variable *name* is made of, None if there is none."""
        node = self.declared("variable_declaration").get(name)
        return named(node)[1] if node else None

    def decorators_of(self, node: Node) -> dict[str, Node]:
        """Return the decorators before a declaration, by name."""
        before = node.prev_named_sibling
        if before is None or before.type != "decorators":
            return {}
        calls = [named(decorator)[0] for decorator in named(before, "decorator")]
        return {text(named(call)[0]): call for call in calls}
