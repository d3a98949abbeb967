"""SLOWLOG: the commands that took long, as `observations.SlowLog` keeps them. Follows slowlog.c of Redis 7.2."""

from __future__ import annotations

from itertools import islice
from typing import Final

from txrepl.commands.arguments import integer
from txrepl.commands.help import help_reply
from txrepl.commands.session import Session
from txrepl.commands.table import Family
from txrepl.errors import CommandError
from txrepl.resp.replies import OK, Reply

family = Family("server")
family.container("slowlog", since="2.2.12", summary="The commands that took long.")

_ADMIN: Final = "admin loading stale"
_SHOWN: Final = 10
"""Entries that GET gives when it is not told how many."""
_BAD_COUNT: Final = "ERR count should be greater than or equal to -1"


@family.command(
    "slowlog get",
    -2,
    _ADMIN,
    since="2.2.12",
    summary="Gives the last slow commands.",
    complexity="O(N) where N is the number of entries returned",
    tips=("request_policy:all_nodes", "nondeterministic_output"),
)
def slowlog_get(s: Session, argv: list[bytes]) -> Reply:
    """SLOWLOG GET [count]; -1 gives all."""
    if len(argv) > 3:
        sub = argv[1].decode("utf-8", "surrogateescape")
        raise CommandError(f"ERR unknown subcommand or wrong number of arguments for '{sub}'. Try SLOWLOG HELP.")
    count = integer(argv[2], _BAD_COUNT) if len(argv) == 3 else _SHOWN
    if count < -1:
        raise CommandError(_BAD_COUNT)
    entries = s.server.observations.slow_log.entries
    return [
        [
            entry.number,
            entry.at_s,
            entry.duration_us,
            list(entry.words),
            entry.address.encode("utf-8", "surrogateescape"),
            entry.name,
        ]
        for entry in islice(entries, len(entries) if count == -1 else min(count, len(entries)))
    ]


@family.command(
    "slowlog len",
    2,
    _ADMIN,
    since="2.2.12",
    summary="Counts the entries.",
    tips=("request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"),
)
def slowlog_len(s: Session, argv: list[bytes]) -> Reply:
    """SLOWLOG LEN."""
    return len(s.server.observations.slow_log.entries)


@family.command(
    "slowlog reset",
    2,
    _ADMIN,
    since="2.2.12",
    summary="Forgets the entries.",
    complexity="O(N) where N is the number of entries in the slowlog",
    tips=("request_policy:all_nodes", "response_policy:all_succeeded"),
)
def slowlog_reset(s: Session, argv: list[bytes]) -> Reply:
    """SLOWLOG RESET."""
    s.server.observations.slow_log.entries.clear()
    return OK


@family.command("slowlog help", 2, "loading stale", since="6.2.0", summary="Lists the subcommands.")
def slowlog_help(s: Session, argv: list[bytes]) -> Reply:
    """SLOWLOG HELP."""
    return help_reply(
        "SLOWLOG",
        (
            "GET [<count>]",
            "The newest <count> entries (10; -1 means all), each of id, unix time, microseconds, words, address and "
            "name of the client.",
        ),
        ("LEN", "How many entries there are."),
        ("RESET", "Forget them."),
    )
