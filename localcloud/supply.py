"""
Answers: which packages does a deployment hold, under which licences, and with which hashes?

`make licences` writes docs/licences.md, `make sbom` writes dist/mailgrant.cdx.json (CycloneDX 1.6).
"""

import importlib.metadata
import json
import re
import sys
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.version import VERSION

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "licences.md"
SBOM = ROOT / "dist" / "mailgrant.cdx.json"
# What may be deployed. MPL-2.0 binds changes to its own files, and we change none (certifi: a list of certificates).
DEPLOYABLE = frozenset(
    ("Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0"),
)
# What tools bear beside that, those for charts above all: permissive all the same.
DEVELOPABLE = DEPLOYABLE | {"0BSD", "CC0-1.0", "MIT-CMU", "Python Software Foundation License", "Zlib"}
# The packages of Node, all for development; the address is that of a package in the public domain.
OF_NODE = DEPLOYABLE | {"0BSD", "BlueOak-1.0.0", "ISC", "http://geraintluff.github.io/tv4/LICENSE.txt"}
_SPELLINGS = {
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD 2-Clause License": "BSD-2-Clause",
    "BSD License": "BSD",
    "MIT License": "MIT",
    "MIT license": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
_PIN = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[^\s;]+)(?:\s*;\s*(?P<marker>.*?))?\s*(?=--hash|$)")


@dataclass(frozen=True, slots=True)
class Pin:
    """One line of a lock file: what is installed, where (*marker*), and the SHA-256 of each file that is accepted."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]


def pins(lock: Path) -> list[Pin]:
    """Return what *lock* pins, in its order. Raises: ValueError for a line that is no pin."""
    found = []
    for line in lock.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        pin = _PIN.match(line)
        if pin is None:
            raise ValueError(f"{lock.name} holds a line that pins nothing: {line}")
        hashes = tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})", line))
        found.append(Pin(pin["name"], pin["version"], pin["marker"] or "", hashes))
    return found


def licence_of(name: str) -> str:
    """Return the licence of an installed package, as SPDX writes it where it says so; '' where it is not installed."""
    try:
        about = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
    told = [text for field in ("License-Expression", "License") for text in about.get_all(field) or ()]
    told += [text.rpartition(":: ")[2] for text in about.get_all("Classifier") or () if text.startswith("License")]
    # Some packages put the whole text where the name belongs.
    short = [text.strip() for text in told if text.strip() and "\n" not in text.strip()]
    return _SPELLINGS.get(short[0], short[0]) if short else "not told"


def classes_of(licence: str) -> set[str]:
    """Return the single licences of an expression."""
    return set(re.split(r" (?:AND|OR) ", licence))


def node_licences(lock: Path) -> Counter[str]:
    """Return how many packages of Node bear which licence."""
    packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    return Counter(str(about.get("license", "not told")) for path, about in packages.items() if path)


def licence_page() -> str:
    """Return docs/licences.md for the present lock files and what is installed."""
    deployed, development = (pins(ROOT / f"{name}.txt") for name in ("requirements", "requirements-dev"))
    names = {pin.name for pin in deployed}
    node = node_licences(ROOT / "localcloud" / "package-lock.json")
    return "\n".join(
        [
            "# Licences of what is used\n",
            "`make licences` writes this page from the packages' own metadata; a test holds it to the lock files and",
            "lets no new kind of licence in. Mailgrant itself is under the MIT licence.\n",
            "## Deployed\n",
            *_table(deployed),
            "\n## Development only, never deployed\n",
            *_table(pin for pin in development if pin.name not in names),
            "\n## Packages of Node: storage emulator and test data, never deployed\n",
            "| Licence | Packages |\n|---|---|",
            *(f"| {licence} | {count} |" for licence, count in sorted(node.items())),
            "",
        ]
    )


def _table(found: Iterable[Pin]) -> list[str]:
    rows = sorted({(pin.name, licence_of(pin.name) or "not installed on this platform") for pin in found})
    return ["| Package | Licence |\n|---|---|", *(f"| {name} | {licence} |" for name, licence in rows)]


def bill_of_materials() -> dict[str, Any]:
    """Return what is deployed as CycloneDX 1.6; the same lock file gives the same bytes."""
    lock = ROOT / "requirements.txt"
    root = f"pkg:generic/mailgrant@{VERSION}"
    text = lock.read_text(encoding="utf-8")
    components = [_component(pin) for pin in pins(lock)]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{root} {text}')}",
        "version": 1,
        "metadata": {
            "component": {
                "bom-ref": root,
                "type": "application",
                "name": "mailgrant",
                "version": VERSION,
                "licenses": [{"license": {"id": "MIT"}}],
            }
        },
        "components": components,
        "dependencies": [{"ref": root, "dependsOn": [component["bom-ref"] for component in components]}],
    }


def _component(pin: Pin) -> dict[str, Any]:
    purl = f"pkg:pypi/{pin.name}@{pin.version}"
    component: dict[str, Any] = {
        "bom-ref": purl,
        "type": "library",
        "name": pin.name,
        "version": pin.version,
        "purl": purl,
        # Any of these files may be the one installed; a component's own hashes would have to be of one file.
        "externalReferences": [
            {
                "type": "distribution",
                "url": f"https://pypi.org/project/{pin.name}/{pin.version}/",
                "hashes": [{"alg": "SHA-256", "content": digest} for digest in pin.hashes],
            }
        ],
    }
    licence = licence_of(pin.name)
    if licence:
        component["licenses"] = [_licence(licence)]
    if pin.marker:
        component["properties"] = [{"name": "mailgrant:marker", "value": pin.marker}]
    return component


def _licence(licence: str) -> dict[str, Any]:
    if len(classes_of(licence)) > 1:
        return {"expression": licence}
    return {"license": {"name" if licence in ("BSD", "not told") else "id": licence}}


def main(asked: list[str]) -> int:
    """Write what was asked for and say where it is."""
    if asked == ["licences"]:
        PAGE.write_text(licence_page(), encoding="utf-8")
        print(PAGE.relative_to(ROOT))
    elif asked == ["sbom"]:
        SBOM.parent.mkdir(exist_ok=True)
        SBOM.write_text(json.dumps(bill_of_materials(), indent=2) + "\n", encoding="utf-8")
        print(SBOM.relative_to(ROOT))
    else:
        print("python -m localcloud.supply licences|sbom", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
