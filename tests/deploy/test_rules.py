"""The alerts: sound, tested, of metrics that there are, each with its place in the runbook."""

import re
from typing import Any

import pytest
import yaml

from tests.deploy.exposed import exposed, named, wrong_labels
from tests.deploy.promtool import needs_promtool, promtool
from tests.processes import ROOT

FOLDER = ROOT / "deploy/prometheus"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((FOLDER / "keyturn.rules.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
TESTS = yaml.safe_load((FOLDER / "keyturn.rules.test.yml").read_text("utf-8"))["tests"]
PAGE = (ROOT / "docs/operations.md").read_text("utf-8")
OUR_OWN = "http_server_", "process_"  # names that other programs have too


def anchors(page: str) -> set[str]:
    """Where one can be led to in *page*, as GitHub names it."""
    titles = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@needs_promtool
@pytest.mark.parametrize(
    "command",
    [
        "check config prometheus.yml",
        "check rules keyturn.rules.yml",
        "test rules keyturn.rules.test.yml",
    ],
)
def test_prometheus_finds_no_fault(command: str) -> None:
    done = promtool(*command.split(), cwd=FOLDER)

    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tested_to_fire_and_to_be_silent() -> None:
    fires: set[str] = set()
    silent: set[str] = set()
    for case in TESTS:
        for each in case["alert_rule_test"]:
            (fires if each["exp_alerts"] else silent).add(each["alertname"])

    assert fires == silent == {rule["alert"] for rule in ALERTS}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_reads_metrics_that_there_are(rule: dict[str, Any]) -> None:
    known = exposed()
    recorded = {each["record"] for each in RULES if "record" in each}

    assert named(rule["expr"]) <= known.keys() | recorded
    assert wrong_labels(rule["expr"], known) == []
    for name in named(rule["expr"]):
        if name.startswith(OUR_OWN):
            assert re.search(rf'{name}{{\s*job="keyturn"', rule["expr"]), "of this job only"


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_leads_to_what_to_do(rule: dict[str, Any]) -> None:
    said = rule["annotations"]
    page, _, anchor = said["runbook"].partition("#")

    assert said.keys() == {"summary", "description", "runbook"}
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert page == "docs/operations.md"
    assert anchor == rule["alert"].lower()
    assert anchor in anchors(PAGE)


def test_what_an_alert_is_about_is_named_in_what_it_says() -> None:
    for case in TESTS:
        for each in case["alert_rule_test"]:
            for fired in each["exp_alerts"]:
                for label in fired["exp_labels"].keys() - {"job", "severity", "result"}:
                    value = fired["exp_labels"][label]
                    assert value in fired["exp_annotations"]["description"], each["alertname"]


def test_what_to_do_fits_on_a_screen() -> None:
    sections = re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]
    found = {each.splitlines()[0]: each for each in sections}

    for rule in ALERTS:
        assert len(found[rule["alert"]].split("\n## ")[0].splitlines()) <= 25, rule["alert"]
