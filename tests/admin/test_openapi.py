"""The contract is complete: every route is in it, everything in it is routed, and every answer fits its schema."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.task import Clock

from tests.admin.schemas import faults
from tests.admin.support import Bench
from txrepl.admin.app import Admin
from txrepl.admin.openapi import ROUTES, SCHEMAS, document
from txrepl.admin.problems import TABLE
from txrepl.replication.handshake import Outcome, Resync

DOCUMENT = document(needs_token=True)
STREAMS = {(route.method, route.path) for route in ROUTES if route.streams}


def routed() -> set[tuple[str, str]]:
    """Method and path of every route of the app, as the contract spells them."""
    return {
        (method.lower(), re.sub(r"<(\w+)>", r"{\1}", rule.rule))
        for rule in Admin(Bench().node, Clock(), needs_token=False).app.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in {"HEAD", "OPTIONS"}
    }


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every method of every path."""
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def references(value: Any) -> Iterator[str]:
    """Every $ref anywhere below."""
    if isinstance(value, dict):
        for name, member in value.items():
            if name == "$ref":
                yield member
            else:
                yield from references(member)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def test_routes_and_contract_are_the_same() -> None:
    """No route without documentation, no documentation without a route."""
    assert {(method, path) for method, path, _ in operations()} == routed()


def test_every_reference_has_its_schema_and_every_schema_its_use() -> None:
    """A generated client finds all names, and no dead ones."""
    used = {reference.rpartition("/")[2] for reference in references(DOCUMENT)}
    assert used == set(SCHEMAS)


def test_operation_ids_are_unique() -> None:
    """They become the names of a generated client's methods."""
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(ids)) == len(ids) == len(ROUTES)


def test_path_parameters_are_declared() -> None:
    """Every {name} of a path has its parameter, and the other way round."""
    for _, path, operation in operations():
        declared = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", path)), path


def test_every_status_is_one_that_can_be_answered() -> None:
    """Refusals are rows of the problem table, as problem+json; successes have a body."""
    statuses = {kind.status for _, kind in TABLE}
    for _, path, operation in operations():
        for status, response in operation["responses"].items():
            assert response["description"] and response["content"], (path, status)
            if int(status) >= 400:
                assert int(status) in statuses
                assert list(response["content"]) == ["application/problem+json"]


def test_what_is_guarded_says_so() -> None:
    """All but probes and the dashboard's files need the token where there is one; nothing does where there is none."""
    for _, path, operation in operations():
        is_open = path in {"/healthz", "/readyz", "/static/{name}"}
        assert bool(operation["security"]) != is_open
        assert ("401" in operation["responses"]) != is_open
    assert not any(
        operation["security"]
        for methods in document(needs_token=False)["paths"].values()
        for operation in methods.values()
    )


def test_the_document_is_served() -> None:
    """GET /openapi.json is the document."""
    answer = Bench().get("/openapi.json")
    assert answer.status == 200
    assert answer.json == document(needs_token=False)


def busy_replica() -> Bench:
    """A replica of a primary, with a replica of its own, in the middle of nothing."""
    bench = Bench()
    bench.attach()
    bench.write("SET", "k", "v")
    bench.become_replica()
    bench.attach(6390)
    return bench


def syncing_replica() -> Bench:
    """A replica that receives a full sync."""
    bench = Bench()
    bench.node.replicate_from("10.0.0.1", 6379, "a test")
    bench.node.full_sync.promised(Outcome(Resync.FULL, "a" * 40, 10))
    bench.node.full_sync.transfer_begun(1000)
    bench.clock.advance(2)
    bench.node.full_sync.transfer_moved(250)
    return bench


def failing_replica() -> Bench:
    """A replica whose primary refuses it."""
    bench = Bench()
    bench.become_replica()
    bench.node.following.link_lost("Connection closed")
    bench.node.following.link_failed("Connection refused")
    bench.clock.advance(3)
    return bench


def primary_with_replicas() -> Bench:
    """A primary with replicas in several states, and refused partial resyncs."""
    bench = Bench()
    bench.attach(6381)
    bench.attach(6382)
    bench.write("SET", "k", "v")
    bench.attach(6383, replid=bench.node.feed.history.replid, offset=1)
    bench.attach(6384, replid="b" * 40, offset=7)
    return bench


@pytest.mark.parametrize("make", [Bench, busy_replica, syncing_replica, failing_replica, primary_with_replicas])
def test_every_answer_fits_its_schema(make: type[Bench]) -> None:
    """In every state of a node: no member that is not in the contract, none missing, none of another type."""
    bench = make()
    for method, path, operation in operations():
        if method != "get" or (method, path) in STREAMS:
            continue
        answer = bench.get(path.replace("{name}", "masterauth"))
        response = operation["responses"][str(answer.status)]
        media = answer.headers["content-type"].partition(";")[0]
        value = answer.json if media.endswith("json") else answer.text
        assert not faults(value, response["content"][media]["schema"], SCHEMAS), path


def test_answers_of_actions_fit_their_schemas() -> None:
    """Success, and every refusal that an action documents and that can be provoked here."""
    bench = primary_with_replicas()
    role, problem = SCHEMAS["Role"], SCHEMAS["Problem"]
    number = bench.get("/v1/replicas").json["replicas"][0]["id"]
    assert bench.get("/v1/replicas").json["replicas"][2]["state"] == "online"
    assert not faults(bench.ask("DELETE", f"/v1/replicas/{number}").json, SCHEMAS["Disconnected"], SCHEMAS)
    assert not faults(bench.post("/v1/replicaof", {"host": "10.0.0.1", "port": 6379}).json, role, SCHEMAS)
    assert not faults(bench.post("/v1/slaveof", {"no_one": True}).json, role, SCHEMAS)
    assert not faults(bench.post("/v1/replicaof", {"host": ""}).json, problem, SCHEMAS)
    assert not faults(bench.post("/v1/replicaof", {"host": "127.0.0.1", "port": 6379}).json, problem, SCHEMAS)
    assert not faults(bench.ask("DELETE", "/v1/replicas/999").json, problem, SCHEMAS)


def test_the_checker_sees_what_is_wrong() -> None:
    """A member too many, one missing, a wrong type, a value out of range: each is a fault."""
    good = {"status": "alive"}
    assert not faults(good, SCHEMAS["Status"], SCHEMAS)
    for bad in ({}, {"status": "dead"}, {"status": None}, {**good, "more": 1}, []):
        assert faults(bad, SCHEMAS["Status"], SCHEMAS), bad
    assert faults({"step": "x", "at_ms": -1}, SCHEMAS["Step"], SCHEMAS)
    assert faults({"step": "x", "at_ms": True}, SCHEMAS["Step"], SCHEMAS)
    assert faults({"no_one": True, "host": "h", "port": 1}, SCHEMAS["Follow"], SCHEMAS)
