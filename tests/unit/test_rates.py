"""How often a token may be used: a burst, then a steady flow, each key for itself."""

import pytest

from shared.errors import TooMany
from shared.rates import Rates
from tests.fakes import MovableClock


@pytest.fixture
def clock() -> MovableClock:
    """Return a clock that stands."""
    return MovableClock()


@pytest.fixture
def rates(clock: MovableClock) -> Rates:
    """Return rates of three at once and one every two seconds."""
    return Rates(burst=3, per_second=0.5, monotonic=clock.monotonic)


def test_a_burst_is_taken_and_then_refused(rates: Rates) -> None:
    """The refusal says after how many seconds the next call may come."""
    for _ in range(3):
        rates.take("a")
    with pytest.raises(TooMany) as refused:
        rates.take("a")

    assert 2 == refused.value.retry_after
    assert "Retry-After" in refused.value.detail


def test_waiting_as_told_is_enough(rates: Rates, clock: MovableClock) -> None:
    """Refused calls cost nothing, and an idle time fills no more than a burst."""
    for _ in range(3):
        rates.take("a")
    for _ in range(5):
        with pytest.raises(TooMany):
            rates.take("a")
    clock.advance(2)
    rates.take("a")
    clock.advance(3600)
    for _ in range(3):
        rates.take("a")
    with pytest.raises(TooMany):
        rates.take("a")


def test_one_key_does_not_use_up_another(rates: Rates) -> None:
    """A noisy sender stops nobody else."""
    for _ in range(3):
        rates.take("a")

    rates.take("b")
