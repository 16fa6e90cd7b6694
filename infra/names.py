"""Whether every name in Bicep is declared, used and described, and modules get what they ask for."""

from collections.abc import Iterator
from pathlib import Path

from tree_sitter import Node

from infra.syntax import BicepFile, Fault, body_of, literal, named, properties, text, walk

_AMBIENT = {"az", "sys"}
_BOUNDS = {"array": {"maxLength"}, "int": {"minValue", "maxValue"}, "string": {"minLength", "maxLength"}}
_SILENT = {"bool", "object"}
_LOOP_NAMES = {"identifier", "loop_variable", "loop_enumerator"}
# Locations, tags and ids that one module hands to another are bounded where they come from.
_ROOT = "main.bicep"


def uses(file: BicepFile) -> Iterator[Node]:
    """Yield each identifier that stands for a value: no declaration, property, type or function."""
    for node in file.nodes:
        parent = node.parent
        if node.type != "identifier" or parent is None or parent.type in {"decorator", "type", "primitive_type"}:
            continue
        first = named(parent)[0] == node
        if first and (parent.type in {"object_property", "call_expression"} or parent.type.endswith("_declaration")):
            continue
        yield node


def loop_names(file: BicepFile) -> set[str]:
    """Return the names that loops and lambdas of *file* bring along."""
    found = set()
    for node in file.nodes:
        if node.type == "for_statement":
            head = named(node)[0]
            found |= {text(child) for child in walk(head) if child.type in _LOOP_NAMES}
        elif node.type == "lambda_expression":
            found |= {text(child) for child in walk(named(node)[0]) if child.type == "identifier"}
    return found


def check_names(file: BicepFile) -> list[Fault]:
    """Return names that are not declared, and parameters and variables that nothing uses."""
    declared, local = file.declared(), loop_names(file)
    found = list(uses(file))
    used = {text(node) for node in found}
    faults = [
        file.fault(node, f"{text(node)} is not declared")
        for node in found
        if text(node) not in {*declared, *local, *_AMBIENT}
    ]
    for name, node in declared.items():
        if node.type in {"parameter_declaration", "variable_declaration"} and name not in used:
            faults.append(file.fault(node, f"{name} is never used"))
    return faults


def check_parameters(file: BicepFile) -> list[Fault]:
    """Return parameters without a description; in the root also those without bounds, which people fill in."""
    faults = []
    for name, node in file.declared("parameter_declaration").items():
        decorators = file.decorators_of(node)
        if "description" not in decorators:
            faults.append(file.fault(node, f"parameter {name} has no description"))
        kind = text(named(node, "type")[0])
        default = named(node)[2] if len(named(node)) > 2 else None
        computed = default is not None and default.type == "call_expression"
        if file.name.endswith(_ROOT) and "allowed" not in decorators and kind not in _SILENT and not computed:
            missing = {bound for bound in _BOUNDS.get(kind, set()) if bound not in decorators}
            if missing - ({"minLength"} if default is not None and literal(default) == "" else set()):
                faults.append(file.fault(node, f"parameter {name} has no bounds: {', '.join(sorted(missing))}"))
    return faults


def check_modules(file: BicepFile, files: dict[Path, BicepFile]) -> list[Fault]:
    """Return modules that do not exist, and parameters and outputs that they do not have or do not get."""
    faults = []
    outputs: dict[str, set[str]] = {}
    for name, node in file.declared("module_declaration").items():
        path = literal(named(node, "string")[0]) or ""
        target = files.get((file.path.parent / path).resolve())
        body = body_of(node)
        if target is None or body is None:
            faults.append(file.fault(node, f"module file {path} does not exist"))
            continue
        outputs[name] = set(target.declared("output_declaration"))
        asked = target.declared("parameter_declaration")
        given = {key: value for key, value in _params(body).items() if key}
        faults += [
            file.fault(value, f"{path} has no parameter {key}") for key, value in given.items() if key not in asked
        ]
        needed = [key for key, value in asked.items() if len(named(value)) < 3]
        faults += [file.fault(node, f"{path} is not given {key}") for key in needed if key not in given]
    return faults + _unknown_outputs(file, outputs)


def _params(body: Node) -> dict[str | None, Node]:
    found = next((value for key, value in properties(body) if key == "params"), None)
    return dict(properties(found)) if found is not None else {}


def _unknown_outputs(file: BicepFile, outputs: dict[str, set[str]]) -> list[Fault]:
    faults = []
    for node in file.nodes:
        if node.type != "member_expression":
            continue
        module, _, output = text(node).replace("!", "").partition(".outputs.")
        if module in outputs and output and "." not in output and output not in outputs[module]:
            faults.append(file.fault(node, f"module {module} has no output {output}"))
    return faults


def check_parameter_file(file: BicepFile, main: BicepFile) -> list[Fault]:
    """Return what the parameter file sets and main.bicep does not have, and what it must set and does not."""
    asked, given = main.declared("parameter_declaration"), file.declared("variable_declaration")
    faults = [
        file.fault(node, f"{main.name} has no parameter {name}") for name, node in given.items() if name not in asked
    ]
    needed = [name for name, node in asked.items() if len(named(node)) < 3]
    return faults + [file.fault(file.tree, f"{name} is not set") for name in needed if name not in given]
