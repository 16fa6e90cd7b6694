"""Environment → settings → services → app: what the Functions host imports."""

import gc
import os

# Hardly anything that a start makes is garbage: looking for some on the way costs a tenth of its time.
gc.disable()

from functions.app import build  # noqa: E402 - see above
from shared.composition import compose  # noqa: E402 - see above
from shared.settings import Settings  # noqa: E402 - see above

app = build(compose(Settings.from_environment(os.environ)))

gc.freeze()
gc.enable()
