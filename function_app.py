"""Environment → settings → services → app: what the Functions host imports."""

import os

from functions.app import build
from shared.composition import compose
from shared.settings import Settings

app = build(compose(Settings.from_environment(os.environ)))
