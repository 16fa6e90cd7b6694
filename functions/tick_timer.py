"""The timer that wakes whatever is due; it only puts queue messages, so that no slow mailbox holds up another."""

import azure.functions as func

from shared.tick import Tick


def blueprint(tick: Tick) -> func.Blueprint:
    """Return the timer function; whatever a missed run left is done by the next one, so the host keeps no schedule."""
    bp = func.Blueprint()

    @bp.function_name("tick")
    @bp.timer_trigger(arg_name="timer", schedule="%TICK_SCHEDULE%", run_on_startup=False, use_monitor=False)
    def run(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the host hands it over by this name
        tick.run()

    return bp
