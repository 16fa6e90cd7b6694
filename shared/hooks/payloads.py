"""What a webhook's body says: JSON, a form or text, as the plain values that templates know."""

import re
from typing import Any
from urllib.parse import parse_qs

from shared.codes import Code
from shared.errors import InvalidRequest, TooLarge
from shared.json_text import value_of

BODY_BYTES = 1024 * 1024
MOST_FIELDS = 1000
_CHARSET = re.compile(r"utf-?8|utf-?16|us-ascii|iso-8859-(?:[1-9]|1[0-6])|windows-125[0-8]")
FORM = "application/x-www-form-urlencoded"


def payload_of(body: bytes, content_type: str) -> Any:
    """
    Return the payload: JSON's value, a form's fields (a list where one comes more than once), else the text.

    Raises `TooLarge` beyond 1 MiB, `InvalidRequest` where the body is not what its type says.
    """
    if len(body) > BODY_BYTES:
        raise TooLarge("A hook takes bodies of at most 1 MB.")
    kind, _, parameters = content_type.lower().partition(";")
    kind = kind.strip()
    if kind == FORM:
        return _form(body)
    if kind == "application/json" or kind.endswith("+json"):
        return _json(body)
    if kind.startswith("text/") or not kind:
        return _text(body, parameters)
    detail = "A hook takes JSON, a form (application/x-www-form-urlencoded) or text. Set the source's content type."
    raise InvalidRequest(detail, code=Code.UNSUPPORTED_MEDIA_TYPE)


def _json(body: bytes) -> Any:
    try:
        return value_of(body)
    except ValueError as error:
        detail = f"The body is not JSON: {str(error)[:120]}."
        raise InvalidRequest(detail, code=Code.INVALID_JSON) from None


def _form(body: bytes) -> dict[str, Any]:
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise InvalidRequest(f"The body is not a form of at most {MOST_FIELDS} fields in UTF-8.") from None
    return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}


def _text(body: bytes, parameters: str) -> str:
    charset = parameters.partition("charset=")[2].partition(";")[0].strip().strip('"') or "utf-8"
    return body.decode(charset if _CHARSET.fullmatch(charset) else "utf-8", "replace")
