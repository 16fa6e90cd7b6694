"""Which operation does a method and path mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.mail.errors import MailError, bad_request

if TYPE_CHECKING:
    from localcloud.graph.calls import Operation


class _Node:
    """One position in the tree of paths; *variable* is the name and branch of a free segment."""

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.variable: tuple[str, _Node] | None = None
        self.operations: dict[str, Operation] = {}


class Router:
    """A tree of path segments; literal segments are compared without regard to case, as Graph does."""

    def __init__(self) -> None:
        self._root = _Node()

    def add(self, method: str, pattern: str, operation: Operation) -> None:
        """Route *method* on *pattern*, whose segments in braces are variables, to *operation*."""
        node = self._root
        for segment in pattern.split("/"):
            if segment.startswith("{"):
                name, child = node.variable or (segment[1:-1], _Node())
                node.variable = (name, child)
                node = child
            else:
                node = node.literal.setdefault(segment.casefold(), _Node())
        node.operations[method] = operation

    def find(self, method: str, segments: list[str]) -> tuple[Operation, dict[str, str]]:
        """
        Return the operation and the values of the path's variables.

        Raises:
            MailError: 400 for an unknown path, 405 for a method that it does not have.
        """
        node, variables = self._root, {}
        for segment in segments:
            child = node.literal.get(segment.casefold())
            if child is None and node.variable is not None:
                name, child = node.variable
                variables[name] = segment
            if child is None:
                raise bad_request(f"Resource not found for the segment '{segment}'.")
            node = child
        operation = node.operations.get(method)
        if operation is not None:
            return operation, variables
        if node.operations:
            raise MailError(405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.")
        raise bad_request("Resource not found for the request path.")
