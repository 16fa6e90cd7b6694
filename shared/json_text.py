"""JSON as its standard has it: Python's parser also takes what no other program could read again."""

import json
import math
from typing import Any


def value_of(content: bytes | str) -> Any:
    """
    Return the value of JSON text; raises ValueError that says what is wrong, and at most 20 characters of it.

    NaN and Infinity are no JSON (RFC 8259, section 6), nor is a number that only becomes infinite by being read.
    """
    try:
        return json.loads(content, parse_float=_finite, parse_constant=_finite)
    except RecursionError:
        message = "it is nested too deeply"
        raise ValueError(message) from None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        message = f"{text[:20]} is not a number of JSON"
        raise ValueError(message)
    return number
