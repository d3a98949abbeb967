"""`/v1/guard` and `/v1/delay`, and what the page says of them; nothing is on by itself."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest

from tests.admin.schemas import faults
from tests.admin.support import Bench
from txrepl.admin.openapi import SCHEMAS
from txrepl.admin.text import COLUMNS
from txrepl.directives import follow_directives
from txrepl.errors import ReplicationError
from txrepl.persistence.snapshot import Loader
from txrepl.replication.delay import PIECE_BYTES
from txrepl.replication.handshake import Outcome, Resync
from txrepl.resp.requests import encode_command

SET = encode_command((b"SET", b"k", b"v"))
FLUSHALL = encode_command((b"flushall",))


def replica(**directives: Any) -> Bench:
    """A replica whose link is up, with these directives, and a key."""
    bench = Bench()
    follow_directives(bench.node)
    bench.write("SET", "kept", "1")
    bench.become_replica()
    bench.node.config.set_many({name.replace("_", "-"): str(value) for name, value in directives.items()})
    return bench


def stopped() -> Bench:
    """A replica that the guard has stopped at an empty primary."""
    bench = replica(replica_empty_primary_guard="yes")
    bench.node.following.link_lost("a test")
    outcome = Outcome(Resync.FULL, "f" * 40, 5)
    bench.node.full_sync.promised(outcome)
    loader = Loader(16, bench.node.now(), bench.node.keyspace.limits, drop_expired=False)
    with pytest.raises(ReplicationError) as refused:
        bench.node.full_sync.resynchronized(loader, outcome)
    bench.node.following.link_failed(str(refused.value))
    return bench


def held() -> Bench:
    """A delayed replica that is stopped before a FLUSHALL."""
    bench = replica(replica_delay=3600)
    bench.node.delaying.receive_stream(SET + FLUSHALL + SET)
    (found,) = bench.get("/v1/delay?command=flushall").json["commands"]
    assert bench.post("/v1/delay", {"stop_before": found["offset"], "apply_now": True}).status == 200
    bench.node.delaying.apply_due()
    return bench


def test_without_either_there_is_nothing_to_see_and_nothing_to_decide() -> None:
    """On a primary and on a replica."""
    primary = Bench()
    assert primary.get("/v1/guard").json["state"] == "off"
    assert primary.get("/v1/delay").json["delay"]["state"] == "off"
    assert primary.post("/v1/delay", {"apply_now": True}).refuses(409)
    for bench in (primary, replica()):
        assert bench.post("/v1/guard", {"decision": "accept"}).refuses(409)
        assert "guard" not in bench.get("/").text.lower()
    link = replica().get("/v1/replication").json["link"]
    assert (link["guard"]["state"], link["delay"]["state"]) == ("off", "off")


@pytest.mark.parametrize("make", [replica, stopped, held])
def test_every_answer_fits_its_schema_in_these_states_too(make: type[Bench]) -> None:
    """Facts, decisions and refusals."""
    bench = make()
    for path, schema in (("/v1/guard", "Guard"), ("/v1/delay", "Waiting"), ("/v1/replication", "Replication")):
        assert not faults(bench.get(path).json, SCHEMAS[schema], SCHEMAS)
    assert not faults(bench.post("/v1/delay", {"apply_now": True}).json, SCHEMAS["Delay"], SCHEMAS)
    answer = bench.post("/v1/guard", {"decision": "accept"})
    assert not faults(answer.json, SCHEMAS["Role" if make is stopped else "Problem"], SCHEMAS)


def test_accepting_connects_again_and_promoting_keeps_the_data() -> None:
    """As JSON and as a form."""
    bench = stopped()
    assert bench.get("/v1/guard").json["keys"] == 1
    assert bench.get("/readyz").status == 503
    bench.host.asked.clear()
    assert bench.post("/v1/guard", {"decision": "accept"}).json["role"] == "replica"
    assert bench.host.asked == ["connect"]
    assert bench.get("/v1/guard").json["state"] == "watching"
    bench = stopped()
    assert bench.ask("POST", "/v1/guard", data={"decision": "promote"}).json["role"] == "primary"
    assert bench.node.keyspace.counts()[0] == 1


@pytest.mark.parametrize("body", [{}, {"decision": "both"}, {"decision": 1}])
def test_a_decision_is_one_of_two(body: dict[str, Any]) -> None:
    """Anything else names the field."""
    assert stopped().post("/v1/guard", body).refuses(422, field="decision")
    assert stopped().post("/v1/guard", {"decision": "accept", "x": 1}).refuses(422, field="x")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "stop_before"),
        ({"resume": False}, "stop_before"),
        ({"stop_before": 0}, "stop_before"),
        ({"stop_before": -5}, "stop_before"),
        ({"stop_before": "12"}, "stop_before"),
        ({"stop_before": True}, "stop_before"),
        ({"stop_before": 2**63}, "stop_before"),
        ({"stop_before": 99999, "resume": True}, "resume"),
        ({"resume": 1}, "resume"),
        ({"apply_now": "true"}, "apply_now"),
    ],
)
def test_an_order_that_makes_no_sense_names_the_field(body: dict[str, Any], field: str) -> None:
    """And does nothing."""
    bench = replica(replica_delay=3600)
    assert bench.post("/v1/delay", body).refuses(422, field=field)
    assert bench.node.delay.stop_before == 0


@pytest.mark.parametrize("query", ["limit=-1", "limit=1001", "limit=x", "from=-1", "from=99999999999999999999"])
def test_a_listing_has_bounds(query: str) -> None:
    """Named where they are broken."""
    assert replica().get(f"/v1/delay?{query}").refuses(422, field=query.partition("=")[0])


def test_the_listing_is_limited_filtered_and_goes_on() -> None:
    """From one page to the next, without gap or repeat."""
    bench = replica(replica_delay=3600)
    for number in range(5):
        bench.node.delaying.receive_stream(encode_command((b"SET", b"k%d" % number, b"\xff\n" * 200)))
    seen, query = [], "limit=2"
    while True:
        page = bench.get(f"/v1/delay?{query}").json
        seen += [one["arguments"][0] for one in page["commands"]]
        if not page["more"]:
            break
        query = f"limit=2&from={page['commands'][-1]['end_offset'] + 1}"
    assert seen == ["k0", "k1", "k2", "k3", "k4"]
    assert page["commands"][0]["arguments"][1].startswith(r"\xff\n\xff")
    assert bench.get("/v1/delay?command=DEL").json["commands"] == []
    assert bench.get("/v1/delay?limit=0").json["more"] is True


def test_a_long_listing_lets_others_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked through in slices, and what is applied meanwhile changes nothing in the answer."""
    monkeypatch.setattr("txrepl.admin.features.guard_rails.SLICE_S", 0)
    bench = replica(replica_delay=3600)
    for _ in range(20):
        bench.node.delaying.receive_stream(SET * (PIECE_BYTES // len(SET)))
    bench.node.delaying.receive_stream(FLUSHALL)
    sent = bench.begin("GET", "/v1/delay?command=FLUSHALL")
    assert not bench.is_answered(sent)
    bench.node.delay.apply_now()
    bench.node.delaying.apply_due()
    bench.clock.advance(0)
    assert bench.is_answered(sent)
    answer = bench.end(sent).json
    assert answer["commands"][0]["end_offset"] == answer["delay"]["received_offset"] == bench.node.feed.history.offset


def test_an_offset_that_is_applied_already_is_refused() -> None:
    """Whoever asks must not believe that it was in time."""
    bench = replica(replica_delay=3600)
    bench.node.delaying.receive_stream(SET)
    bench.node.delay.apply_now()
    bench.node.delaying.apply_due()
    offset = bench.node.feed.history.offset
    assert offset == len(SET)
    assert bench.post("/v1/delay", {"stop_before": offset}).refuses(409)
    assert bench.post("/v1/delay", {"stop_before": offset + 1}).json["state"] == "held"
    assert bench.post("/v1/delay", {"resume": True}).json["state"] == "running"


def test_a_held_replica_is_not_ready_and_goes_on_when_told() -> None:
    """What is before the FLUSHALL is applied, the rest waits."""
    bench = held()
    shown = bench.get("/v1/delay").json
    assert shown["delay"]["state"] == "held"
    assert shown["commands"][0]["command"] == "FLUSHALL"
    assert bench.get("/readyz").status == 503
    assert bench.ask("POST", "/v1/delay", data={"resume": "true"}).json["state"] == "running"
    bench.node.delaying.apply_due()
    assert bench.get("/v1/delay").json["delay"]["pending_bytes"] == 0


@pytest.mark.parametrize("make", [stopped, held, lambda: replica(replica_delay=60)])
@pytest.mark.parametrize("host", ["localhost:8379", "rather-long-name.of-a-machine.in-some.example:8379"])
def test_the_page_says_it_loudly_with_lines_that_work(make: Any, host: str) -> None:
    """80 columns, and each line that decides is answered."""
    bench = make()
    headers = {"Host": "localhost:8379"}
    page = bench.get("/", headers=headers).text
    assert all(len(line) <= COLUMNS and line == line.rstrip() for line in page.split("\n"))
    block = page.split("\n\n")[2]
    if make is stopped:
        assert block.startswith("GUARD      STOPPED: nothing is replicated until you decide\n")
    elif make is held:
        assert block.startswith("DELAY      HELD before offset ")
    else:
        assert block.startswith("delay      1 min\n")
    lines = re.findall(r"^  (curl .*)$", block.replace(" \\\n     ", ""), re.MULTILINE)
    assert len(lines) == (2 if make is stopped else 3 if make is held else 1)
    for line in lines:
        words = shlex.split(line)
        path = next(word for word in words if word.startswith("localhost:8379")).removeprefix("localhost:8379")
        method = "POST" if "-X" in words else "GET"
        fields = dict(words[i + 1].split("=") for i, word in enumerate(words) if word == "-d")
        answer = make().ask(method, path, headers=headers, **({"data": fields} if fields else {}))
        assert answer.status in {200, 202}, line
