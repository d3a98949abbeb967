"""A preflight over a scripted wire: what each answer is taken to mean, and what it names as missing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from txrepl.errors import ReplicationError
from txrepl.replication.handshake import Introduction
from txrepl.replication.preflight import (
    REPLY_MAX_BYTES,
    Preflight,
    Theirs,
    Us,
    Would,
    read_info,
    read_reply,
    read_role,
)
from txrepl.replication.transcripts import Transcript

OURS, THEIRS, NOBODYS = "a" * 40, "b" * 40, "f" * 40
AT_100 = Introduction(port=6380, replid=OURS, offset=101)
GREETED = [b"+PONG", b"+OK", b"+OK", b"+OK"]
MAY = b"-ERR PSYNC FAILOVER can't be sent to a master."
MAY_NOT = b"-NOPERM User default has no permissions to run the 'psync' command"
INFO: dict[str, object] = {
    "role": "master",
    "master_replid": OURS,
    "master_replid2": "0" * 40,
    "second_repl_offset": -1,
    "master_repl_offset": 250,
    "repl_backlog_active": 1,
    "repl_backlog_size": 1000,
    "repl_backlog_first_byte_offset": 1,
    "repl_backlog_histlen": 250,
}
REPLICA: dict[str, object] = {"role": "slave", "master_host": "10.0.0.9", "master_port": 6379}


@dataclass
class Script:
    """A server that answers from a list of lines, and is closed behind it."""

    answers: list[bytes]
    sent: list[tuple[bytes, ...]] = field(default_factory=list)

    def send(self, *words: bytes) -> None:
        self.sent.append(words)

    async def line(self) -> bytes:
        if not self.answers:
            raise ReplicationError("the primary closed the connection")
        return self.answers.pop(0)

    async def exactly(self, count: int) -> bytes:
        data = self.answers.pop(0)
        assert len(data) == count
        return data


def info(**more: object) -> list[bytes]:
    text = "".join(f"{name}:{value}\r\n" for name, value in {**INFO, **more}.items()).encode()
    return [b"$%d" % len(text), text + b"\r\n"]


def fly(answers: list[bytes], introduction: Introduction = AT_100, *, psync: bool = False) -> tuple[Preflight, Script]:
    """Hold the conversation; it never waits, since the answers are there at once."""
    script = Script(answers)
    us = Us(introduction, lambda host, port: host == "us", NOBODYS, lambda: 5)
    flight = Preflight(us, Transcript("10.0.0.1", 6379, 0))
    conversation = flight.run(script, psync=psync)
    try:
        conversation.send(None)
    except StopIteration:
        pass
    except ReplicationError as error:
        flight.transcript.ended(6, error=str(error))
    else:
        pytest.fail("the script never lets it wait")
    return flight, script


def there(flight: Preflight) -> list[str]:
    return [one.line for one in flight.remedies() if not one.here]


def here(flight: Preflight) -> list[str]:
    return [one.line for one in flight.remedies() if one.here]


def test_the_right_to_psync_is_tried_without_asking_for_a_resync() -> None:
    """The last command names an id that nobody has, and FAILOVER; no PSYNC that could be granted is sent."""
    flight, script = fly([*GREETED, *info(), MAY])
    assert script.sent[-2:] == [(b"INFO", b"replication"), (b"PSYNC", NOBODYS.encode(), b"1", b"FAILOVER")]
    verdict = flight.verdict()
    assert (verdict.would, verdict.count) == (Would.PARTIAL, 150)
    assert all(one.ok for one in flight.steps()) and flight.remedies() == []


@pytest.mark.parametrize(
    ("theirs", "asked", "why"),
    [
        ({"master_replid": THEIRS}, AT_100, "share no history"),
        ({"repl_backlog_active": 0}, AT_100, "no backlog"),
        ({"repl_backlog_first_byte_offset": 200, "repl_backlog_histlen": 51}, AT_100, "only begun at 200"),
        (
            {"repl_backlog_first_byte_offset": 200, "repl_backlog_histlen": 51, "repl_backlog_size": 50},
            AT_100,
            "99 bytes short",
        ),
        ({"master_repl_offset": 50, "repl_backlog_histlen": 50}, AT_100, "ahead of it"),
        ({"master_replid": THEIRS, "master_replid2": OURS, "second_repl_offset": 90}, AT_100, "parted at offset 90"),
        ({"master_replid": THEIRS}, replace(AT_100, offset=1), "nothing was written yet"),
        ({}, Introduction(port=6380), "no history to go on with"),
    ],
)
def test_a_full_resync_is_foretold_with_its_reason(theirs: dict[str, object], asked: Introduction, why: str) -> None:
    """By the decision that a primary takes, on what its INFO says."""
    flight, _ = fly([*GREETED, *info(**theirs), MAY], asked)
    assert flight.verdict().would is Would.FULL and why in flight.verdict().why


def test_a_history_that_was_promoted_is_gone_on_with() -> None:
    """The id before counts up to where the histories parted."""
    flight, _ = fly([*GREETED, *info(master_replid=THEIRS, master_replid2=OURS, second_repl_offset=101), MAY])
    assert flight.verdict().would is Would.PARTIAL


def test_a_short_backlog_names_the_size_that_would_have_done() -> None:
    """And what is missing of a backlog that is freed."""
    short = {"repl_backlog_first_byte_offset": 200, "repl_backlog_histlen": 51, "repl_backlog_size": 50}
    assert there(fly([*GREETED, *info(**short), MAY])[0]) == ["CONFIG SET repl-backlog-size 1mb"]
    assert there(fly([*GREETED, *info(repl_backlog_active=0), MAY])[0]) == ["CONFIG SET repl-backlog-ttl 0"]


def test_who_may_not_psync_is_refused_with_the_line_that_lets_them() -> None:
    """For the user that logged in; the password is in none of it."""
    login = replace(AT_100, user="repl", password="s3cret")
    flight, _ = fly([b"-NOAUTH Authentication required.", b"+OK", *GREETED[1:], *info(), MAY_NOT], login)
    assert flight.verdict().would is Would.REFUSED
    assert there(flight) == ["ACL SETUSER repl +psync +replconf +ping"]
    assert [one.step for one in flight.steps() if not one.ok] == ["psync"]
    assert "s3cret" not in repr(flight.steps()) + repr(flight.remedies())


@pytest.mark.parametrize(
    ("answer", "ours", "others"),
    [
        (b"-WRONGPASS invalid username-password pair", "masterauth …", "ACL SETUSER repl on >…"),
        (b"-ERR AUTH <password> called without any password configured", 'masterauth ""', "requirepass"),
    ],
)
def test_a_login_that_fails_says_what_to_set_on_either_side(answer: bytes, ours: str, others: str) -> None:
    """A wrong password, and one too much."""
    flight, _ = fly([b"+PONG", answer], replace(AT_100, user="repl", password="wrong"))
    assert flight.verdict().would is Would.REFUSED
    assert any(ours in line for line in here(flight)) and any(others in line for line in there(flight))


@pytest.mark.parametrize(
    ("answer", "why", "line"),
    [
        (b"-DENIED Redis is running in protected mode", "protected mode", "CONFIG SET protected-mode no"),
        (b"-ERR max number of clients reached", "as many clients", "CONFIG SET maxclients …"),
        (b"-LOADING Redis is loading the dataset in memory", "loading", None),
        (b"HTTP/1.1 400 Bad Request", "Error reply to PING", None),
    ],
)
def test_a_greeting_that_is_none(answer: bytes, why: str, line: str | None) -> None:
    """Each is told apart."""
    flight, _ = fly([answer])
    assert flight.verdict().would is Would.REFUSED and why in flight.verdict().why
    assert (line in there(flight)) if line else there(flight) == []
    assert not flight.steps()[0].ok


def test_a_server_that_falls_silent_or_closes() -> None:
    """The step that waited says so."""
    flight, _ = fly([b"+PONG"])
    assert flight.verdict().why == "the primary closed the connection"
    assert flight.steps()[-1].received is None and not flight.steps()[-1].ok


def test_a_replica_whose_link_is_down_refuses_whatever_the_last_answer() -> None:
    """By INFO, and by ROLE where INFO is not allowed."""
    down = info(**REPLICA, master_link_status="down")
    role = [
        b"-NOPERM info",
        b"*5",
        b"$5",
        b"slave\r\n",
        b"$8",
        b"10.0.0.9\r\n",
        b":6379",
        b"$7",
        b"connect\r\n",
        b":-1",
    ]
    for standing in (down, role):
        flight, _ = fly([*GREETED, *standing, b"-ERR PSYNC FAILOVER replid must match my replid."])
        assert flight.verdict().would is Would.REFUSED and "10.0.0.9:6379, is down" in flight.verdict().why


def test_two_that_would_follow_each_other() -> None:
    """A replica of this very node."""
    flight, _ = fly([*GREETED, *info(**{**REPLICA, "master_host": "us"}, master_link_status="up"), MAY])
    assert flight.verdict().would is Would.REFUSED and there(flight) == ["REPLICAOF NO ONE"]


def test_without_info_it_is_unclear_until_asked() -> None:
    """Neither INFO nor ROLE; asked for real, the answer says it."""
    flight, _ = fly([*GREETED, b"-NOPERM info", b"-NOPERM role", MAY])
    assert flight.verdict().would is Would.UNCLEAR and there(flight) == ["ACL SETUSER default +info"]
    closed = [b"-NOPERM info", b"-NOPERM role"]
    flight, script = fly([*GREETED, *closed, b"+CONTINUE"], psync=True)
    assert script.sent[-1] == (b"PSYNC", OURS.encode(), b"101")
    assert (flight.verdict().would, flight.verdict().count) == (Would.PARTIAL, None)
    flight, _ = fly([*GREETED, *closed, b"+FULLRESYNC %b 7" % THEIRS.encode()], psync=True)
    assert flight.verdict().would is Would.FULL and THEIRS in flight.verdict().why


def test_asking_never_falls_back_to_sync() -> None:
    """SYNC would take the data; a refusal is a refusal."""
    flight, script = fly([*GREETED, *info(), b"-ERR unknown command 'PSYNC'"], psync=True)
    assert flight.verdict().would is Would.REFUSED
    assert script.sent[-1][0] == b"PSYNC"
    flight, _ = fly([*GREETED, *info(), b"-NOMASTERLINK Can't SYNC while not connected"], psync=True)
    assert flight.verdict().would is Would.REFUSED


@pytest.mark.parametrize("text", ["", "role:master\r\n", "role:slave\r\nmaster_replid:x\r\nmaster_repl_offset:x\r\n"])
def test_an_info_that_is_none(text: str) -> None:
    """Strangers may say anything."""
    with pytest.raises(ReplicationError):
        read_info(text)


@pytest.mark.parametrize("reply", [None, 1, b"master", [b"master"], [b"slave", 1, 2, 3, 4]])
def test_a_role_that_is_none(reply: Any) -> None:
    """Strangers may say anything."""
    with pytest.raises(ReplicationError):
        read_role(reply)
    assert read_role([b"master", 5, []]) == Theirs(offset=5)


@pytest.mark.parametrize("head", [b"", b"$x", b"$%d" % (REPLY_MAX_BYTES + 1), b"*99999999", b"!5", b"hello"])
def test_a_reply_that_is_none_or_too_large(head: bytes) -> None:
    """Nothing is waited for that could fill the memory."""
    with pytest.raises(ReplicationError):
        read_reply(Script([head])).send(None)


def test_arrays_within_arrays_end_somewhere() -> None:
    """The depth is bounded."""
    with pytest.raises(ReplicationError):
        read_reply(Script([b"*1"] * 50)).send(None)
