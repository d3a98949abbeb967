"""What a server's answers to a replica mean, in words, and what to set on which side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from txrepl.replication.psync import Condition


@dataclass(frozen=True, slots=True)
class Remedy:
    """Something to set.

    Attributes:
        here: on this node; False = on the other.
        line: the command that sets it, as it is typed; empty if no command does.
        why: in words.
    """

    here: bool
    line: str
    why: str


GOOD: Final = {
    "ping": "a Redis or Valkey answers",
    "auth": "the password is right",
    "replconf listening-port": "it knows which port this node listens on",
    "replconf ip-address": "it knows which address this node announces",
    "replconf capa": "it knows that this node takes diskless transfers and PSYNC2",
    "replconf version": "it knows which RDB this node reads",
}
"""What a step that went well shows."""

FULL_BECAUSE: Final = {
    Condition.NO_HISTORY: "this node has no history to go on with",
    Condition.FIRST_SYNC: "nothing was written yet in the history that this node comes with",
    Condition.REPLID_MISMATCH: "the two share no history: it is of {theirs.replid} now, this node of {asked.replid}",
    Condition.SECOND_OFFSET: "their histories parted at offset {theirs.second_offset}, and this node needs what comes "
    "from {asked.offset} on",
    Condition.NO_BACKLOG: "it has no backlog to go on from",
    Condition.BEFORE_BACKLOG: "its backlog was only begun at {theirs.first_offset}, and this node needs what comes "
    "from {asked.offset} on",
    Condition.BACKLOG_SHORT: "its backlog begins at {theirs.first_offset}, and this node needs what comes from "
    "{asked.offset} on: {missing} bytes short of a backlog of {kept} bytes",
    Condition.BEYOND_END: "this node is ahead of it: it stands at {theirs.offset}, and this node needs what comes from "
    "{asked.offset} on",
}
"""Why a resync would be full; formatted with asked, theirs, missing and kept."""


def refusal(error: str, user: str) -> tuple[str, list[Remedy]]:
    """What an error reply means, and what to set."""
    text = error.removeprefix("-")
    code = text.partition(" ")[0]
    grant = Remedy(
        False,
        f"ACL SETUSER {user} +psync +replconf +ping",
        f"user {user} lacks the right to a command that a replica needs",
    )
    login = Remedy(
        False, f"ACL SETUSER {user} on >… +psync +replconf +ping", "a user that may replicate, … its password"
    )
    ours = Remedy(True, "CONFIG SET masterauth …", "the password that it wants")
    named = Remedy(True, "CONFIG SET masteruser …", "the user that the password is of, unless it is the default one")
    if code == "NOAUTH":
        return "it wants a password, and none is set here", [ours, named]
    if code == "WRONGPASS" or text.startswith("ERR invalid password"):
        return f"user {user} does not exist there, is off, or has another password", [ours, named, login]
    if text.startswith(("ERR AUTH <password> called without", "ERR Client sent AUTH")):
        return "a password is sent, but none is set there", [
            Remedy(True, 'CONFIG SET masterauth ""', "send none"),
            Remedy(False, "CONFIG SET requirepass …", "or set it there"),
        ]
    if code == "NOPERM":
        return f"user {user} may not do this there", [grant]
    if code == "DENIED":
        return "its protected mode lets nobody in from another machine", [
            Remedy(False, "CONFIG SET requirepass …", "a password ends protected mode"),
            ours,
            Remedy(False, "CONFIG SET protected-mode no", "instead, where all who reach it are trusted"),
        ]
    if text.startswith("ERR max number of clients"):
        return "it has as many clients as it allows", [
            Remedy(False, "CONFIG SET maxclients …", "it must allow more clients, and its open files too")
        ]
    if code == "LOADING":
        return "it is loading its dataset: try again when that is done", []
    if code in ("NOMASTERLINK", "MASTERDOWN"):
        return "it is a replica itself, and its link to its own primary is down", []
    if text.startswith("ERR unknown command"):
        return "it does not know this command: it is renamed there, or a proxy stands between", [
            Remedy(False, "", "a `rename-command` of PSYNC, REPLCONF or PING keeps every replica out")
        ]
    return f"it refused: {text}", []
