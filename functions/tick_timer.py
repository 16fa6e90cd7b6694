"""The timer that wakes whatever is due; it only puts queue messages, so that no slow mailbox holds up another."""

import azure.functions as func

from shared.telemetry import span
from shared.tick import Tick


def blueprint(tick: Tick, schedule: str) -> func.Blueprint:
    """Return the timer function; what a missed run left the next one does, so the host keeps no record."""
    bp = func.Blueprint()

    @bp.function_name("tick")
    @bp.timer_trigger(arg_name="timer", schedule=schedule, run_on_startup=False, use_monitor=False)
    def run(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the host hands it over by this name
        with span("tick"):
            tick.run()

    return bp
