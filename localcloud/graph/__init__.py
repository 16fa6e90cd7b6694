"""Microsoft Graph mail, simulated: the applications that the gateway serves and what the control endpoint adds."""

from localcloud.graph.app import graph_app, uploads_app
from localcloud.graph.control import control_routes

__all__ = ["control_routes", "graph_app", "uploads_app"]
