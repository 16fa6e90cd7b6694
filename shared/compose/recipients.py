"""Whom a connection may write to, where it may not write to everybody."""

from collections.abc import Iterable

from shared.compose.addresses import address


def allowed(text: str) -> str:
    """
    Return an entry of an allow-list in one form: an address, or ``@domain`` for everybody of that domain.

    Raises ValueError with a sentence that says what is wrong.
    """
    entry = text.strip()
    if entry.startswith("@"):
        return address(f"x{entry}").removeprefix("x").casefold()
    return address(entry).casefold()


def strangers(allow_list: Iterable[str], addresses: Iterable[str]) -> list[str]:
    """Return those of *addresses* that the *allow_list* does not name; without a list everybody is allowed."""
    known = {entry.casefold() for entry in allow_list}
    if not known:
        return []
    return [
        one for one in addresses if one.casefold() not in known and f"@{one.casefold().rpartition('@')[2]}" not in known
    ]
