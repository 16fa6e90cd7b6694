"""Run one measurement, print its figures as one line of JSON, and fail where a goal is missed."""

import argparse
import importlib
import json
import sys

from bench.report import Way

WRITTEN = ("fetch", "send", "growth")
AREAS = ("tokens", "idle", "fetch", "large", "growth", "send", "upload")


def main() -> int:
    """Return 0 where every goal of every area asked for is met."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("area", nargs="?", choices=AREAS, help="one area (default: all)")
    parser.add_argument("--alone", action="store_true", help="fetch, send: without the other clients; growth: small")
    parser.add_argument("--write", action="store_true", help="fetch, send, growth: renew charts and JSON in docs/")
    asked = parser.parse_args()
    way = Way.ALONE if asked.alone else Way.WRITTEN if asked.write else Way.COMPARED
    return max(_measure(area, way) for area in ([asked.area] if asked.area else AREAS))


def _measure(area: str, way: Way) -> int:
    module = importlib.import_module(f"bench.{area}")
    figures, missed = module.measure(way) if area in WRITTEN else module.measure()
    print(json.dumps({"area": area, **figures}))
    for goal in missed:
        print(f"missed: {goal}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
