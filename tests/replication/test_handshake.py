"""The handshake over a scripted wire: each step as it should go, refused, garbled, and broken off."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from txrepl.errors import ReplicationError
from txrepl.replication.handshake import Introduction, Outcome, Resync, handshake
from txrepl.replication.history import NO_REPLID
from txrepl.replication.states import LinkState

OURS, THEIRS = "a" * 40, "b" * 40
PLAIN = Introduction(port=6380)
FULL = Introduction(
    port=6380, address="replica.example", user="repl", password="s3 cret", replid=OURS, offset=101
)  # every step
ANSWERS = [b"+PONG", b"+OK", b"+OK", b"+OK", b"+OK", b"+OK", b"+CONTINUE"]


@dataclass
class Script:
    """A wire that answers from a list and is closed behind it; notes what is said and done."""

    answers: list[bytes]
    sent: list[tuple[bytes, ...]] = field(default_factory=list)
    states: list[LinkState] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)

    def send(self, *words: bytes) -> None:
        """Send a command."""
        self.sent.append(words)

    async def line(self) -> bytes:
        """The next answer."""
        if not self.answers:
            raise ReplicationError("the primary closed the connection")
        return self.answers.pop(0)

    def run(self, introduction: Introduction) -> Outcome:
        """Hold the conversation; it never waits, since answers are there at once."""
        conversation = handshake(
            self, introduction, self.states.append, lambda level, message: self.lines.append((level, message))
        )
        with pytest.raises(StopIteration) as ended:
            conversation.send(None)
        outcome: Outcome = ended.value.value
        return outcome

    def refuses(self, introduction: Introduction) -> str:
        """Hold the conversation, which fails; why."""
        conversation = handshake(
            self, introduction, self.states.append, lambda level, message: self.lines.append((level, message))
        )
        with pytest.raises(ReplicationError) as failed:
            conversation.send(None)
        return str(failed.value)

    def said(self, text: str) -> bool:
        """Whether a line with that text was logged."""
        return any(text in message for _, message in self.lines)


def test_every_step_is_taken_in_order() -> None:
    """With a password, an announced address and a history to go on with."""
    script = Script(list(ANSWERS))
    assert script.run(FULL) == Outcome(Resync.PARTIAL, "", -1)
    assert script.sent == [
        (b"PING",),
        (b"AUTH", b"repl", b"s3 cret"),
        (b"REPLCONF", b"listening-port", b"6380"),
        (b"REPLCONF", b"ip-address", b"replica.example"),
        (b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"),
        (b"REPLCONF", b"version", b"9.0.0"),
        (b"PSYNC", OURS.encode(), b"101"),
    ]
    assert [state.value for state in script.states] == list(range(3, 14))
    assert not script.answers


def test_without_password_and_address_their_steps_are_left_out() -> None:
    """And without a history everything is asked for."""
    script = Script([b"+PONG", b"+OK", b"+OK", b"+OK", b"+FULLRESYNC " + THEIRS.encode() + b" 1234"])
    assert script.run(PLAIN) == Outcome(Resync.FULL, THEIRS, 1234)
    assert script.sent == [
        (b"PING",),
        (b"REPLCONF", b"listening-port", b"6380"),
        (b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"),
        (b"REPLCONF", b"version", b"9.0.0"),
        (b"PSYNC", b"?", b"-1"),
    ]
    assert [state.value for state in script.states] == [3, 6, 7, 10, 11, 12, 13]


def test_a_password_without_a_user_is_the_default_users() -> None:
    """One argument, as Redis before 6 needs it."""
    script = Script(list(ANSWERS))
    script.run(replace(FULL, user=""))
    assert script.sent[1] == (b"AUTH", b"s3 cret")


def test_names_and_passwords_that_are_no_text_are_sent_byte_for_byte() -> None:
    """As the configuration holds them."""
    script = Script(list(ANSWERS))
    script.run(replace(FULL, user="u\udcfe", password="p\udcff", address="a\udcfd"))
    assert script.sent[1] == (b"AUTH", b"u\xfe", b"p\xff")
    assert (b"REPLCONF", b"ip-address", b"a\xfd") in script.sent


@pytest.mark.parametrize("before", range(7))
def test_empty_lines_are_a_sign_of_life_at_every_step(before: int) -> None:
    """A primary that is busy sends them while we wait."""
    script = Script([*ANSWERS[:before], b"", b"", b"", *ANSWERS[before:]])
    assert script.run(FULL).resync is Resync.PARTIAL


@pytest.mark.parametrize("step", range(7))
def test_a_connection_closed_at_any_step_ends_the_handshake_there(step: int) -> None:
    """The state reached says where; no further command is sent."""
    script = Script(ANSWERS[:step])
    assert script.refuses(FULL) == "the primary closed the connection"
    assert script.states[-1].value == [3, 5, 7, 9, 11, 11, 13][step]
    assert len(script.sent) == step + 1


GARBLED = b"HTTP/1.1 400 \x1b[31mBad\xff"
SHOWN = "HTTP/1.1 400 \\x1b[31mBad\\xff"


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (0, f"Error reply to PING from master: '{SHOWN}'"),
        (1, f"Unable to AUTH to MASTER: {SHOWN}"),
        (2, f"Unexpected reply to REPLCONF listening-port from master: {SHOWN}"),
        (3, f"Unexpected reply to REPLCONF ip-address from master: {SHOWN}"),
        (4, f"Unexpected reply to REPLCONF capa from master: {SHOWN}"),
        (5, f"Unexpected reply to REPLCONF version from master: {SHOWN}"),
    ],
)
def test_nonsense_at_a_step_ends_the_handshake_and_is_shown_harmless(step: int, error: str) -> None:
    """A peer cannot paint the operator's terminal through our log."""
    script = Script([*ANSWERS[:step], GARBLED, *ANSWERS[step + 1 :]])
    assert script.refuses(FULL) == error
    assert len(script.sent) == step + 1


def test_a_long_answer_is_cut_in_the_log() -> None:
    """A primary cannot fill the disk with one line."""
    assert len(Script([b"-" + b"x" * 60_000]).refuses(FULL)) < 400


@pytest.mark.parametrize(
    "answer", [b"+PONG", b"-NOAUTH Authentication required.", b"-NOPERM no", b"-ERR operation not permitted"]
)
def test_a_ping_that_needs_a_password_first_is_an_answer_too(answer: bytes) -> None:
    """AUTH comes next."""
    script = Script([answer, *ANSWERS[1:]])
    assert script.run(FULL).resync is Resync.PARTIAL
    assert script.said("Master replied to PING, replication can continue...")


@pytest.mark.parametrize(
    "answer", [b"-LOADING Redis is loading", b"-ERR max number of clients reached", b"-MASTERDOWN"]
)
def test_any_other_error_to_ping_ends_the_handshake(answer: bytes) -> None:
    """It says what the primary said."""
    assert Script([answer]).refuses(FULL) == f"Error reply to PING from master: '{answer.decode()}'"


def test_a_wrong_password_ends_the_handshake() -> None:
    """Nothing is asked of a primary that does not know us."""
    script = Script([b"+PONG", b"-WRONGPASS invalid username-password pair or user is disabled."])
    assert script.refuses(FULL).startswith("Unable to AUTH to MASTER: -WRONGPASS")
    assert len(script.sent) == 2


@pytest.mark.parametrize(("step", "what"), [(2, "listening-port"), (3, "ip-address"), (4, "capa"), (5, "version")])
def test_an_error_to_replconf_is_noted_and_not_fatal(step: int, what: str) -> None:
    """Old primaries do not know every option."""
    script = Script([*ANSWERS[:step], b"-ERR Unrecognized REPLCONF option: x", *ANSWERS[step + 1 :]])
    assert script.run(FULL).resync is Resync.PARTIAL
    assert script.said(f"(Non critical) Master does not understand REPLCONF {what}: -ERR Unrecognized")


def psync(answer: bytes, introduction: Introduction = FULL) -> tuple[Outcome, Script]:
    """The outcome when PSYNC is answered so."""
    steps = ANSWERS[:6] if introduction is FULL else ANSWERS[:4]
    script = Script([*steps, answer])
    return script.run(introduction), script


@pytest.mark.parametrize(
    ("answer", "offset"),
    [
        (b"+FULLRESYNC " + THEIRS.encode() + b" 0", 0),
        (b"+FULLRESYNC " + THEIRS.encode() + b" 9223372036854775807", 2**63 - 1),
        (b"+FULLRESYNC " + THEIRS.encode() + b" 77 ", 77),
    ],
)
def test_a_full_resync_gives_the_primarys_history(answer: bytes, offset: int) -> None:
    """From 0 to the largest offset."""
    outcome, script = psync(answer)
    assert outcome == Outcome(Resync.FULL, THEIRS, offset)
    assert script.said(f"Full resync from master: {THEIRS}:{offset}")
    assert script.said(f"Trying a partial resynchronization (request {OURS}:101).")


@pytest.mark.parametrize(
    "rest",
    [
        b"",
        b" ",
        b" " + b"b" * 39 + b" 10",
        b" " + b"b" * 41 + b" 10",
        b" " + b"b" * 40,
        b" " + b"b" * 40 + b" ",
        b" " + b"b" * 40 + b" ten",
        b" " + b"b" * 40 + b" -1",
        b" " + b"b" * 40 + b" 9223372036854775808",
        b" " + b"b" * 40 + b" " + b"9" * 5000,
        b" " + b"b" * 40 + b" 10 11",
        b" " + b"\xff" * 40 + b" 10",
        b" " + b"b" * 20 + b" " + b"b" * 19 + b" 10",
    ],
)
def test_a_malformed_full_resync_gives_no_history_to_go_on_with(rest: bytes) -> None:
    """The bulk is still taken, but no partial resync can follow from it."""
    outcome, script = psync(b"+FULLRESYNC" + rest)
    assert outcome == Outcome(Resync.FULL, NO_REPLID, -1)
    assert script.said("Master replied with wrong +FULLRESYNC syntax")


@pytest.mark.parametrize(
    ("answer", "replid"),
    [
        (b"+CONTINUE", ""),
        (b"+CONTINUE ", ""),
        (b"+CONTINUE " + OURS.encode(), ""),
        (b"+CONTINUE " + THEIRS.encode(), THEIRS),
        (b"+CONTINUE\t " + THEIRS.encode() + b" ", THEIRS),
        (b"+CONTINUE " + b"b" * 39, ""),
        (b"+CONTINUE " + b"b" * 41, ""),
        (b"+CONTINUE " + b"\xff" * 40, ""),
    ],
)
def test_a_partial_resync_names_the_primarys_id_only_if_it_is_new(answer: bytes, replid: str) -> None:
    """None, ours again, a new one, and what is no id."""
    outcome, script = psync(answer)
    assert outcome == Outcome(Resync.PARTIAL, replid, -1)
    assert script.said("Successful partial resynchronization with master.")
    assert script.said(f"Master replication ID changed to {THEIRS}") is bool(replid)


def test_a_partial_resync_that_nobody_asked_for_is_refused() -> None:
    """There is nothing that it could go on from."""
    script = Script([b"+PONG", b"+OK", b"+OK", b"+OK", b"+CONTINUE"])
    assert "no partial resynchronization was asked for" in script.refuses(PLAIN)


@pytest.mark.parametrize("answer", [b"-NOMASTERLINK Can't SYNC while not connected with my master", b"-LOADING wait"])
def test_a_primary_that_is_not_ready_is_tried_again_later(answer: bytes) -> None:
    """Without falling back to SYNC, and with the history kept."""
    script = Script([*ANSWERS[:6], answer])
    error = script.refuses(FULL)
    assert error == f"Master is currently unable to PSYNC but should be in the future: {answer.decode()}"
    assert script.sent[-1][0] == b"PSYNC"


@pytest.mark.parametrize(
    ("answer", "level", "text"),
    [
        (b"-ERR unknown command 'PSYNC'", "notice", "Master does not support PSYNC or is in error state"),
        (b"-NOPERM no permissions", "warning", "Unexpected reply to PSYNC from master: -NOPERM"),
        (b"+WHATEVER", "warning", "Unexpected reply to PSYNC from master: +WHATEVER"),
        (GARBLED, "warning", SHOWN),
    ],
)
def test_a_primary_that_knows_no_psync_is_asked_to_sync(answer: bytes, level: str, text: str) -> None:
    """The bulk follows at once; no offset is known."""
    outcome, script = psync(answer)
    assert outcome == Outcome(Resync.SYNC, NO_REPLID, -1)
    assert script.sent[-1] == (b"SYNC",)
    assert any(logged == level and text in message for logged, message in script.lines)
    assert script.said("Retrying with SYNC...")
