"""A local Azure Functions host for one Python v2 app, built on the library that Microsoft's own worker uses."""
