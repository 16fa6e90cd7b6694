"""Whether figures grow no faster than the logarithm of what there is, and how evenly work is shared."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def is_log_like(sizes: Sequence[float], figures: Sequence[float], slack: float = 0.0) -> bool:
    """
    Tell whether *figures* grow from each of the *sizes* (all above 1) to each larger one no faster than its logarithm.

    *slack* is how much more a figure may be than that allows: noise of a clock, a call at a page's edge.
    """
    pairs = list(zip(sizes, figures, strict=True))
    return all(
        after <= before * math.log(more) / math.log(less) + slack
        for number, (less, before) in enumerate(pairs)
        for more, after in pairs[number + 1 :]
    )


def exponent(sizes: Sequence[float], figures: Sequence[float]) -> float:
    """Return the power of the size with which *figures* grow from first to last: 0 constant, 1 linear, 2 square."""
    first, last = max(figures[0], 1e-9), max(figures[-1], 1e-9)
    return math.log(last / first) / math.log(sizes[-1] / sizes[0])


def jain_index(shares: Sequence[float]) -> float:
    """Return how evenly something is shared, after Jain: 1 where all get the same, 1/n where one gets everything."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 1.0
