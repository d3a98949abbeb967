"""What each writing command puts into the stream is what Redis 7.0 and Valkey 9 put there, and their replicas obey it.

The commands of `effects` run from the same state on all three servers, whose streams are compared byte for byte (see
`versions.stream` for what differs by version); txrepl has a live replica of each, whose digest has to be its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.interop.effects import FORMS, MODERN, forms
from tests.interop.grammar import NOT_MADE
from tests.interop.instep import DEFAULTS, DIGEST_FORMS, Trio, trio
from tests.interop.servers import RealServer, start, wait_until
from txrepl.commands.registry import build_table
from txrepl.commands.table import MAY_REPLICATE, WRITE, Command

LAZY = {**DEFAULTS, **{f"lazyfree-lazy-{what}": "yes" for what in ("expire", "user-del", "server-del")}}

UNWRITTEN = {
    "MIGRATE": "needs a peer: test_migrate shows its DEL",
    **{name: NOT_MADE[name] for name in ("DELEX", "MSETEX", "XACKDEL", "XDELEX")},
}
"""Commands with the write flag that have no form, with the reason."""


@pytest.fixture(scope="module")
def servers() -> Iterator[Trio]:
    """One of each for the module."""
    with trio() as running:
        yield running


@pytest.fixture(scope="module")
def replicas(servers: Trio) -> Iterator[list[RealServer]]:
    """A live replica of each kind, linked to txrepl."""
    primary = servers.runners["txrepl"].server
    with ExitStack() as stack:
        started = [
            stack.enter_context(start(kind, replicaof=("127.0.0.1", primary.port))) for kind in ("redis70", "valkey9")
        ]
        for one in started:
            wait_until(lambda one=one: one.info("replication")["master_link_status"] == "up", 20, "the link is up")
        yield started


@pytest.mark.parametrize(("text", "modern"), [(FORMS, False), (MODERN, True)], ids=["all", "newer"])
@pytest.mark.parametrize("settings", [DEFAULTS, LAZY], ids=["freed at once", "freed later"])
def test_streams_are_equal_and_replicas_obey_them(
    servers: Trio, replicas: list[RealServer], settings: dict[str, str | int], text: str, modern: bool
) -> None:
    """Every form; all that fail are shown."""
    runner = servers.runners["txrepl"]
    obeying = replicas[1:] if modern else replicas
    read = [len(replica.log_text()) for replica in obeying]
    wrong = []
    for commands in forms(text):
        found = servers.run(commands, 2, settings, modern=modern)
        if found is not None:
            wrong.append(f"{found.text}\n    {commands}")
        for replica in obeying:
            offset = runner.server.offset()
            wait_until(lambda r=replica, at=offset: r.offset() >= at, 20, "the replica has everything")
            if replica.digest() != runner.server_digest(DIGEST_FORMS[replica.kind]):
                wrong.append(f"the digest of {replica.kind} is another one\n    {commands}")
    assert not wrong, "\n".join(wrong)
    assert not any("CRITICAL" in replica.log_text()[before:] for replica, before in zip(obeying, read, strict=True))


def test_every_writing_command_has_forms() -> None:
    """Two calls at least, so that one that does nothing (or something else) is among them."""
    calls: dict[str, int] = {}
    for commands in [*forms(FORMS), *forms(MODERN)]:
        for words in commands:
            for size in (1, 2):
                name = " ".join(word.decode("latin-1") for word in words[:size]).upper()
                calls[name] = calls.get(name, 0) + 1
    missing = [name for name in writing() if name not in UNWRITTEN and calls.get(name, 0) < 2]
    assert not missing
    assert set(UNWRITTEN) <= set(writing())


def writing() -> list[str]:
    """The names of all commands that may put something into the stream."""
    return [
        name(one)
        for command in build_table().commands.values()
        for one in parts(command)
        if one.flags & (WRITE | MAY_REPLICATE)
    ]


def parts(command: Command) -> list[Command]:
    """The command's subcommands, or itself."""
    return [*command.subcommands.values()] or [command]


def name(command: Command) -> str:
    """As a client says it."""
    return command.name.replace("|", " ").upper()
