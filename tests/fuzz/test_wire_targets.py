"""Each target of the wire, of storage and of the local host on a few inputs; `make fuzz` tries many."""

from random import Random

import pytest

from localcloud.fuzz.targets import Target
from localcloud.fuzz.wire import TARGETS

INPUTS = 8


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_few_inputs_break_nothing(target: Target) -> None:
    """The same few inputs at each run fail in no way."""
    random = Random(target.name)
    for _ in range(INPUTS):
        target.run(random.randbytes(6 if target.most_bytes == 64 else 4000))
