"""Run one measurement, print its figures as one line of JSON, and fail where a goal is missed."""

import argparse
import importlib
import json
import sys

AREAS = ("tokens", "idle", "fetch", "large", "growth", "send", "upload")


def main() -> int:
    """Return 0 where every goal of every area asked for is met."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("area", nargs="?", choices=AREAS, help="one area (default: all)")
    asked = parser.parse_args().area
    return max(_measure(area) for area in ([asked] if asked else AREAS))


def _measure(area: str) -> int:
    figures, missed = importlib.import_module(f"bench.{area}").measure()
    print(json.dumps({"area": area, **figures}))
    for goal in missed:
        print(f"missed: {goal}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
