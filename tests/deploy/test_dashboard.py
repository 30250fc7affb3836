"""The dashboard: sound, legible, of metrics that there are."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.exposed import exposed, named, wrong_labels
from tests.deploy.promtool import needs_promtool, promtool
from tests.deploy.test_rules import RULES
from tests.processes import ROOT

BOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana/keyturn.json").read_text("utf-8"))
PANELS: list[dict[str, Any]] = BOARD["panels"]
GRAPHS = [panel for panel in PANELS if panel["type"] != "row"]
VARIABLES = {each["name"]: each for each in BOARD["templating"]["list"]}
ASKED = {
    "uid": "keyturn",
    "schemaVersion": 41,  # Grafana 12; newer ones read it too
}


def expressions() -> Iterator[str]:
    """What is asked of Prometheus, as Grafana sends it."""
    for panel in GRAPHS:
        for target in panel["targets"]:
            yield re.sub(
                r"\$(\w+)",
                lambda found: "5m" if found[1] == "__rate_interval" else found[1],
                target["expr"],
            )


def area(panel: dict[str, Any]) -> set[tuple[int, int]]:
    at = panel["gridPos"]
    return {
        (x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    }


def test_it_is_a_dashboard_of_a_current_grafana() -> None:
    assert {name: BOARD[name] for name in ASKED} == ASKED
    assert "id" not in BOARD, "that is the importing Grafana's to give"


def test_panels_are_told_apart_and_do_not_overlap() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    for one, other in combinations(PANELS, 2):
        assert not area(one) & area(other), (one["title"], other["title"])
    assert max(x for panel in PANELS for x, _ in area(panel)) < 24


def test_each_panel_has_a_unit_and_names_its_series() -> None:
    for panel in GRAPHS:
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert all(target["legendFormat"] for target in panel["targets"]), panel["title"]


def test_the_source_the_job_and_the_instance_are_the_readers_to_choose() -> None:
    source = {"type": "prometheus", "uid": "${datasource}"}

    assert list(VARIABLES) == ["datasource", "job", "instance"]
    assert VARIABLES["datasource"]["query"] == "prometheus"
    for panel in GRAPHS:
        assert panel["datasource"] == source
        for target in panel["targets"]:
            assert target["datasource"] == source
            for selector in re.findall(r"{([^}]*)}", target["expr"]):
                assert 'job=~"$job"' in selector
            assert ":" in target["expr"] or 'instance=~"$instance"' in target["expr"]


def test_it_shows_metrics_that_there_are_and_all_of_them() -> None:
    known = exposed()
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    shown = set().union(*map(named, expressions()))

    assert shown <= known.keys() | recorded
    assert [each for text in expressions() for each in wrong_labels(text, known)] == []
    for variable in ("job", "instance"):
        assert named(VARIABLES[variable]["query"]["query"]) <= known.keys()
    beside = {each for each in known if each.startswith("process_") or each.endswith("_sum")}
    assert known.keys() - shown <= beside


@needs_promtool
def test_prometheus_understands_what_it_is_asked(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:asks:{number}", "expr": text}
        for number, text in enumerate(expressions())
    ]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}), "utf-8")

    done = promtool("check", "rules", file.name, cwd=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
