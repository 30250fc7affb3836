"""Where the configuration comes from: a YAML file and the environment.  Judged elsewhere."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

_PREFIX = "KEYTURN__"
DEFAULT_FILE = "config.yaml"

Location = tuple[str | int, ...]
"""A key's place: names, and numbers in lists."""


def dotted(location: Location) -> str:
    """Write a key's place as people do: ``issuers[0].algorithms``."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return "".join(steps).removeprefix(".")


def read_file(named: str | None, faults: list[str]) -> dict[str, Any] | None:
    """
    Read the file that is *named*, else config.yaml if it is here.

    What is wrong with it is added to *faults*: PyYAML itself passes over a missing file and takes
    the last of two keys.  Gives nothing where there is nothing to judge.
    """
    path = Path(named or DEFAULT_FILE)
    if named is None and not path.exists():
        return {}
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        faults += [f"{dotted(where)}: stands there twice" for where in _duplicates(node)]
        raw = {} if node is None else loader.construct_document(node)
    except FileNotFoundError:
        faults.append(f"{path}: no such file")
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"{path}: cannot be read ({type(error).__name__})")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = "" if mark is None else f":{mark.line + 1}:{mark.column + 1}"
        faults.append(f"{path}{where}: not YAML: {error.problem}")
    except (yaml.YAMLError, AttributeError, LookupError, ValueError, RecursionError):
        # PyYAML's own constructors fail in all these ways.
        faults.append(f"{path}: not YAML")
    else:
        if isinstance(raw, dict):
            _anchor_files(raw, path.parent)
            return raw
        faults.append(f"{path}: must be a mapping of keys")
    return None


def _anchor_files(raw: dict[str, Any], directory: Path) -> None:
    # A file that a file names is looked for beside it.
    issuers = raw.get("issuers")
    for issuer in issuers if isinstance(issuers, list) else ():
        match issuer:
            case {"jwks": str(name)} if "://" not in name:
                issuer["jwks"] = str(directory / name)


def apply_environment(
    raw: dict[str, Any], environ: Mapping[str, str], faults: list[str]
) -> dict[Location, str]:
    """
    Put the ``KEYTURN__GROUP__KEY`` variables over *raw*; give which variable set which key.

    A value that begins like JSON's lists and objects is one.
    """
    variables: dict[Location, str] = {}
    for name in sorted(environ):
        if not name.startswith(_PREFIX):
            continue
        location = tuple(name[len(_PREFIX) :].lower().split("__"))
        if "" in location:
            faults.append(f"{name}: names no key")
            continue
        try:
            value = _value(environ[name])
        except (ValueError, RecursionError):
            faults.append(f"{dotted(location)}: not JSON, or a key twice in it (from {name})")
            continue
        variables[location] = name
        group: Any = raw
        for step in location[:-1]:
            group = group.setdefault(step, {}) if isinstance(group, dict) else None
        if isinstance(group, dict):
            group[location[-1]] = value
        else:
            faults.append(f"{dotted(location)}: what stands above it is no mapping (from {name})")
    return variables


def apply_quickstart_variables(
    raw: dict[str, Any], environ: Mapping[str, str], faults: list[str]
) -> None:
    """Let ``ISSUER_BASE_URL`` and ``AUDIENCE`` replace the issuers, as the quickstarts have it."""
    issuer, audience = environ.get("ISSUER_BASE_URL"), environ.get("AUDIENCE")
    if issuer and audience:
        raw["issuers"] = [{"issuer": issuer}]
        raw["audience"] = audience
        group = raw.setdefault("dev_issuer", {})
        if isinstance(group, dict):
            group["enabled"] = False
    elif issuer or audience:
        missing = "AUDIENCE" if issuer else "ISSUER_BASE_URL"
        given = "ISSUER_BASE_URL" if issuer else "AUDIENCE"
        faults.append(f"{missing}: must be given together with {given}")


def trust_dev_issuer(raw: dict[str, Any]) -> None:
    """Where no issuer is named and the development issuer runs, it is the one."""
    dev = raw.get("dev_issuer")
    if "issuers" not in raw and isinstance(dev, dict) and _is_true(dev.get("enabled")):
        name = dev.get("issuer") or f"http://localhost:{dev.get('port', 3011)}/"
        raw["issuers"] = [{"issuer": name}]


def inherit_audience(raw: dict[str, Any]) -> set[int]:
    """Give each issuer without an audience the one at the top; tell which got it."""
    issuers = raw.get("issuers")
    inherited: set[int] = set()
    if "audience" in raw and isinstance(issuers, list):
        for index, issuer in enumerate(issuers):
            if isinstance(issuer, dict) and "audience" not in issuer:
                issuer["audience"] = raw["audience"]
                inherited.add(index)
    return inherited


def _value(text: str) -> Any:
    if text.lstrip()[:1] not in {"[", "{"}:
        return text
    return json.loads(text, object_pairs_hook=_unique_members)


def _unique_members(members: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(members)
    if len(unique) != len(members):
        raise ValueError("a key stands there twice")
    return unique


def _is_true(value: object) -> bool:
    try:
        return TypeAdapter(bool).validate_python(value)
    except ValidationError:
        return False


def _duplicates(
    node: yaml.Node | None, at: Location = (), seen: set[int] | None = None
) -> Iterator[Location]:
    # Each node once: an alias may lead back, or to the same node a million times.
    seen = set() if seen is None else seen
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        names = set()
        for key, value in node.value:
            name = str(key.value)
            if name in names:
                yield (*at, name)
            names.add(name)
            yield from _duplicates(value, (*at, name), seen)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _duplicates(value, (*at, index), seen)
