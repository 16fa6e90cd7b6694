"""
Check the Bicep of this folder without a network: `python -m infra.check`, part of `make check`.

It parses every file, holds resources against `infra/schema/`, and asks whether names are declared, modules get what
they ask for, and roles, settings and storage are those of the product. It does not type expressions or know functions'
signatures: Microsoft's own compiler does, in `.github/workflows/bicep.yml`.
"""

import sys
from pathlib import Path

from infra import names, project, resources
from infra.syntax import BicepFile, Fault

FOLDER = Path(__file__).parent


def check(folder: Path) -> list[Fault]:
    """Return everything that is wrong with the infrastructure in *folder*, by file and line."""
    folder = folder.resolve()
    paths = sorted([folder / "main.bicep", folder / "main.bicepparam", *(folder / "modules").glob("*.bicep")])
    everything = {path: BicepFile.read(path, folder) for path in paths}
    faults = [fault for file in everything.values() for fault in file.syntax_faults()]
    if faults:
        return faults
    parameters = everything.pop(folder / "main.bicepparam")
    main, files = everything[folder / "main.bicep"], list(everything.values())
    for file in files:
        faults += [*names.check_names(file), *names.check_parameters(file), *names.check_modules(file, everything)]
    app = everything[folder / "modules" / "app.bicep"]
    faults += names.check_parameter_file(parameters, main)
    faults += resources.check_resources(files)
    faults += project.check_roles(files)
    faults += project.check_settings(app)
    faults += project.check_defaults(main, app)
    faults += project.check_storage(everything[folder / "modules" / "storage.bicep"])
    faults += project.check_identity_only([*files, parameters])
    return sorted(set(faults))


def main() -> int:
    """Print each fault on a line of its own; return 1 if there is one."""
    faults = check(FOLDER)
    for fault in faults:
        print(f"infra/{fault}")
    if not faults:
        print("infra: nothing is wrong with the Bicep files")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
