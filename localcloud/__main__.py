"""`python -m localcloud COMMAND`: run the parts of the local cloud, together or one by one."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "cloud": ("localcloud.cloud", "simulate Microsoft's cloud and print the environment that leads a process to it"),
    "host": ("localcloud.host.main", "run the Functions host on the environment it is started in"),
    "up": ("localcloud.up", "start Azurite, the simulated cloud and the host, and stay until Ctrl-C"),
    "demo": ("localcloud.demo", "play the whole story on real mail and print figures"),
    "corpus": (
        "localcloud.corpus_run",
        "let thousands of real mails through the product, and print what was made of them",
    ),
    "screenshots": ("localcloud.screenshots", "take a picture of every page, for docs/screenshots"),
    "package": ("localcloud.package", "make the zip that is deployed, install it, and measure size and start"),
    "fuzz": ("localcloud.fuzz", "try to break everything that parses foreign input, and print what failed"),
    "faults": ("localcloud.faults", "kill the host in the middle of its work and count what is lost or doubled"),
    "soak": ("localcloud.soak", "let two hosts work amid everything at once, and judge what became of every mail"),
}
_DESCRIPTION = "Run the product with no Azure and no Microsoft 365. Development only."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="python -m localcloud", description=_DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        # Only the command that is asked for is imported: the parts need different packages.
        if words[:1] == [name]:
            importlib.import_module(module).add_arguments(command)
    args = parser.parse_args(words)
    status: int = importlib.import_module(COMMANDS[args.command][0]).run(args)
    return status


if __name__ == "__main__":
    sys.exit(main())
