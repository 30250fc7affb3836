"""What carries the log on: its parts fit, and it loses nothing.  Vector itself is not run."""

from typing import Any

import yaml

from tests.processes import ROOT

VECTOR: dict[str, Any] = yaml.safe_load((ROOT / "deploy/vector.yaml").read_text("utf-8"))


def test_its_parts_are_joined() -> None:
    parts = VECTOR["sources"] | VECTOR["transforms"] | VECTOR["sinks"]
    outputs = set(VECTOR["sources"]) | set(VECTOR["transforms"])
    for name, part in VECTOR["transforms"].items():
        outputs |= {f"{name}.{route}" for route in part.get("route", {})}

    read = {each for part in parts.values() for each in part.get("inputs", [])}

    assert VECTOR.keys() == {"sources", "transforms", "sinks"}
    assert len(parts) == sum(map(len, VECTOR.values()))
    assert read <= outputs
    assert outputs - read == {"parted"}, "what it is parted into is read"


def test_every_line_goes_one_way() -> None:
    route = VECTOR["transforms"]["parted"]["route"]

    assert route == {"requests": '.event == "request"', "events": '.event != "request"'}
    assert {each["inputs"][0] for each in VECTOR["sinks"].values()} == {
        f"parted.{name}" for name in route
    }
    assert all(each["encoding"] == {"codec": "json"} for each in VECTOR["sinks"].values())
