"""How unmodified clients reach the simulated hosts: a CONNECT proxy, a throw-away CA, a TLS server."""
