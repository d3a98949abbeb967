"""The Grafana dashboard and the alert rules load, and ask for nothing that does not exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.admin.support import Bench
from tests.admin.test_metrics import Samples
from tests.admin.test_openapi import busy_replica, primary_with_replicas, syncing_replica

ETC = Path(__file__).resolve().parents[2] / "etc"
DASHBOARD: Any = json.loads((ETC / "grafana-dashboard.json").read_text("utf-8"))
RULES: Any = yaml.safe_load((ETC / "prometheus-rules.yml").read_text("utf-8"))


def labels_known() -> dict[str, set[str]]:
    """Every metric that a node has in some state, with its labels and those that Prometheus adds."""
    found: dict[str, set[str]] = {"up": {"instance", "job"}}
    writing = primary_with_replicas()
    for number in range(10):
        writing.write("SET", f"key:{number}", "v" * 1000)
        writing.clock.advance(1)
        writing.node.tick()
    for bench in (writing, busy_replica(), syncing_replica(), Bench()):
        for name, samples in Samples(bench).items():
            found.setdefault(name, {"instance", "job"}).update(*(one.labels for one in samples))
    return found


KNOWN = labels_known()


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression, and the texts that its labels are put into."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield target["expr"], target["legendFormat"]
    for group in RULES["groups"]:
        for rule in group["rules"]:
            yield rule["expr"], " ".join(rule["annotations"].values())


@pytest.mark.parametrize(("expression", "texts"), list(expressions()))
def test_every_metric_and_every_label_exists(expression: str, texts: str) -> None:
    """In expressions, in what they select and group by, and in the texts that show them."""
    names = set(re.findall(r"\b(?:redis|txrepl)_\w+|\bup\b", expression))
    assert names and names <= KNOWN.keys()
    used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expression))
    used |= {word for group in re.findall(r"\bby \(([^)]*)\)", expression) for word in group.split(", ")}
    used |= set(re.findall(r"\{\{ ?(?:\$labels\.)?(\w+) ?\}\}", texts))
    for name in names:
        assert used <= KNOWN[name], (name, used - KNOWN[name])


def test_the_dashboard_is_one_that_grafana_loads() -> None:
    """Unique ids, no panel over another or over the edge, a data source that is asked for, no fixed one."""
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 10
    assert DASHBOARD["uid"] and DASHBOARD["schemaVersion"] >= 36
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken and max(x for x, _ in cells) < 24
        taken |= cells
        if panel["type"] != "row":
            assert panel["title"] and panel["description"]
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            refs = [target["refId"] for target in panel["targets"]]
            assert len(set(refs)) == len(refs) > 0
    assert [one["name"] for one in DASHBOARD["templating"]["list"]] == ["datasource", "instance"]


def test_the_rules_are_ones_that_prometheus_loads() -> None:
    """Only keys that it knows, names of their own, durations, and balanced brackets."""
    assert set(RULES) == {"groups"}
    names = []
    for group in RULES["groups"]:
        assert set(group) == {"name", "rules"}
        for rule in group["rules"]:
            assert (
                {"alert", "expr", "labels", "annotations"}
                <= set(rule)
                <= {"alert", "expr", "for", "labels", "annotations"}
            )
            names.append(rule["alert"])
            assert re.fullmatch(r"[A-Z][A-Za-z]+", rule["alert"])
            assert re.fullmatch(r"\d+[smhd]", rule.get("for", "1m"))
            assert rule["labels"]["severity"] in {"warning", "critical"}
            assert set(rule["annotations"]) == {"summary", "description"}
            for opens, closes in ("()", "[]", "{}"):
                assert rule["expr"].count(opens) == rule["expr"].count(closes)
    assert len(set(names)) == len(names)
