"""Run one measurement, print its figures as one line of JSON, and fail where a goal is missed."""

import argparse
import importlib
import json
import sys

AREAS = ("tokens",)


def main() -> int:
    """Return 0 where every goal is met."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("area", choices=AREAS)
    area = parser.parse_args().area
    figures, missed = importlib.import_module(f"bench.{area}").measure()
    print(json.dumps({"area": area, **figures}))
    for goal in missed:
        print(f"missed: {goal}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
