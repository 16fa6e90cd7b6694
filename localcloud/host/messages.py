"""
Plain stand-ins for the protobuf messages between host and language worker.

The runtime library reads attributes, calls `WhichOneof`, and builds its answers from the `protos` object it is given;
generated protobuf classes are not needed. Field names and enum values are those of FunctionRpc.proto.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class Record:
    """Hold whatever fields it is built with."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


class TypedData:
    """
    Carry one value with its kind: string, bytes, json, http, int or double.

    `TypedData(json="{}")` has the kind "json"; `TypedData()` is empty and has none.
    """

    __slots__ = ("_content", "_kind")

    def __init__(self, **value: Any) -> None:
        self._kind: str | None = next(iter(value), None)
        self._content: Any = next(iter(value.values()), None)

    def __getattr__(self, name: str) -> Any:
        if name != self._kind:
            raise AttributeError(name)
        return self._content

    @property
    def content(self) -> Any:
        """Return the value itself, None when empty."""
        return self._content

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802 - the name protobuf gives it
        """Return the kind of the value, None when empty."""
        return self._kind


class ParameterBinding:
    """Pair the name of a binding with its value."""

    def __init__(self, name: str, data: TypedData | None) -> None:
        self.name = name
        self.data = data

    def WhichOneof(self, _group: str) -> str:  # noqa: N802 - the name protobuf gives it
        """Return "data": values never travel through shared memory here."""
        return "data"


class StatusResult(Record):
    """Tell success from failure, with the exception of a failure."""

    Failure = 0
    Success = 1
    Cancelled = 2
    status: int
    exception: Any = None


class BindingInfo(Record):
    """Describe a binding while functions are indexed; *inout* is the only direction refused."""

    out = 1
    inout = 2
    undefined = 0
    string = 1
    binary = 2
    stream = 3


# "in" is a keyword, so this member cannot be written in the class body.
setattr(BindingInfo, "in", 0)


class SameSite:
    """Number the values of a cookie's SameSite attribute; `None` means that the attribute is absent."""

    Lax = 1
    Strict = 2
    ExplicitNone = 3


setattr(SameSite, "None", 0)


class RpcHttpCookie(Record):
    """Carry one Set-Cookie header."""

    SameSite = SameSite


def protos() -> SimpleNamespace:
    """Return the module-like object which the runtime library takes as its protobuf module."""
    records = (
        "FunctionLoadResponse FunctionMetadataResponse InvocationResponse NullableBool NullableDouble NullableString "
        "NullableTimestamp RpcException RpcFunctionMetadata RpcHttp RpcRetryOptions Timestamp WorkerInitResponse "
        "WorkerMetadata"
    )
    return SimpleNamespace(
        **{name: type(name, (Record,), {}) for name in records.split()},
        BindingInfo=BindingInfo,
        ParameterBinding=ParameterBinding,
        RpcHttpCookie=RpcHttpCookie,
        StatusResult=StatusResult,
        TypedData=TypedData,
    )
