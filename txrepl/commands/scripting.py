"""EVAL and its kin: scripts, found by their text or SHA1. Follows eval.c and script.c of Redis 7.2.

A script's own commands go into the stream, as those of a transaction do; EVAL itself never does.
"""

from __future__ import annotations

from typing import Any, Final

from txrepl.commands.arguments import integer
from txrepl.commands.help import help_reply
from txrepl.commands.script_calls import ScriptCalls
from txrepl.commands.session import PRIMARY, Session
from txrepl.commands.table import DENYOOM, MAY_REPLICATE, STALE, WRITE, Family, counted_keys
from txrepl.errors import CommandError
from txrepl.resp.replies import OK, Reply
from txrepl.scripting.running import ALLOW_OOM, ALLOW_STALE, NO_WRITES, UNDECLARED, Request
from txrepl.scripting.scripts import Script, shebang

family = Family("scripting")

_COMPLEXITY: Final = "Depends on the script that is executed."
NO_SCRIPT: Final = "NOSCRIPT No matching script. Please use EVAL."
WRITES_BY_RO: Final = "ERR Can not execute a script with write flag using *_ro command."
Words = tuple[list[bytes], list[bytes]]
"""Keys and arguments."""
_ALL_NODES: Final = ("request_policy:all_nodes", "response_policy:all_succeeded")


def split_keys(argv: list[bytes], count: int) -> Words:
    """Keys and arguments behind their count.

    Raises:
        CommandError: there are not so many words.
    """
    if count > len(argv) - 3:
        raise CommandError("ERR Number of keys can't be greater than number of args")
    if count < 0:
        raise CommandError("ERR Number of keys can't be negative")
    return argv[3 : 3 + count], argv[3 + count :]


def flags_of_script(command_flags: int, script_flags: int) -> int:
    """What a call may do, from what its script declares (`scriptFlagsToCmdFlags`)."""
    if script_flags & UNDECLARED:
        return command_flags
    flags = command_flags & ~(STALE | DENYOOM | WRITE | MAY_REPLICATE)
    if not script_flags & (ALLOW_OOM | NO_WRITES):
        flags |= DENYOOM
    if not script_flags & NO_WRITES:
        flags |= WRITE
    if script_flags & ALLOW_STALE:
        flags |= STALE
    return flags


def prepare(s: Session, flags: int, *, read_only: bool) -> bool:
    """Whether a run may write; the rest of what it needs is checked before (`scriptPrepareForRun`).

    Parameters:
        flags: what the script declares.
        read_only: the command is one of those that only read.

    Raises:
        CommandError: it may not run.
    """
    if flags & UNDECLARED:
        return not read_only
    if flags & NO_WRITES:
        return False
    if read_only:  # its command promises not to write, so that nothing has looked whether it might
        raise s.server.script_refusal(s, flags_of_script(0, flags)) or CommandError(WRITES_BY_RO)
    return True


def request_of(
    s: Session, argv: list[bytes], keys: list[bytes], arguments: list[bytes], flags: int, *, read_only: bool
) -> Request:
    """What a client wants run; `flags` are those that the script declares."""
    allows_oom = bool(flags & ALLOW_OOM)
    return Request(argv, ScriptCalls(s), s.proto, keys, arguments, read_only, bool(s.flags & PRIMARY), allows_oom)


def _flags_of_text(server: Any, argv: list[bytes], flags: int) -> int:
    try:
        return flags_of_script(flags, shebang(argv[1])[0])
    except CommandError:
        return flags


def _flags_of_sha(server: Any, argv: list[bytes], flags: int) -> int:
    script = server.scripting.scripts.find(argv[1])
    return flags if script is None else flags_of_script(flags, script.flags)


def _run(s: Session, argv: list[bytes], script: Script, words: Words, *, read_only: bool) -> Reply:
    keys, arguments = words
    server = s.server
    may_write = prepare(s, script.flags, read_only=read_only)
    try:
        return server.scripting.run_script(
            script, request_of(s, argv, keys, arguments, script.flags, read_only=not may_write)
        )
    finally:
        s.keyspace.verbatim = False


def _eval(s: Session, argv: list[bytes], *, read_only: bool) -> Reply:
    words = split_keys(argv, integer(argv[2]))
    return _run(s, argv, s.server.scripting.scripts.load(argv[1], keep=False), words, read_only=read_only)


def _evalsha(s: Session, argv: list[bytes], *, read_only: bool) -> Reply:
    if len(argv[1]) != 40:
        raise CommandError(NO_SCRIPT)
    words = split_keys(argv, integer(argv[2]))
    script = s.server.scripting.scripts.find(argv[1])
    if script is None:
        raise CommandError(NO_SCRIPT)
    return _run(s, argv, script, words, read_only=read_only)


@family.command(
    "eval",
    -3,
    "noscript skip_monitor may_replicate no_mandatory_keys stale",
    counted_keys(2, "RW ACCESS UPDATE"),
    since="2.6.0",
    summary="Runs a Lua script.",
    complexity=_COMPLEXITY,
    flags_of=_flags_of_text,
)
def eval_(s: Session, argv: list[bytes]) -> Reply:
    """EVAL script numkeys [key …] [arg …]"""
    return _eval(s, argv, read_only=False)


@family.command(
    "eval_ro",
    -3,
    "readonly noscript skip_monitor no_mandatory_keys stale",
    counted_keys(2, "RO ACCESS"),
    since="7.0.0",
    summary="Runs a Lua script that only reads.",
    complexity=_COMPLEXITY,
    flags_of=_flags_of_text,
)
def eval_ro(s: Session, argv: list[bytes]) -> Reply:
    """EVAL_RO script numkeys [key …] [arg …]"""
    return _eval(s, argv, read_only=True)


@family.command(
    "evalsha",
    -3,
    "noscript skip_monitor may_replicate no_mandatory_keys stale",
    counted_keys(2, "RW ACCESS UPDATE"),
    since="2.6.0",
    summary="Runs a Lua script that the server knows by its SHA1.",
    complexity=_COMPLEXITY,
    flags_of=_flags_of_sha,
)
def evalsha(s: Session, argv: list[bytes]) -> Reply:
    """EVALSHA sha1 numkeys [key …] [arg …]"""
    return _evalsha(s, argv, read_only=False)


@family.command(
    "evalsha_ro",
    -3,
    "readonly noscript skip_monitor no_mandatory_keys stale",
    counted_keys(2, "RO ACCESS"),
    since="7.0.0",
    summary="Runs a Lua script that only reads, and that the server knows by its SHA1.",
    complexity=_COMPLEXITY,
    flags_of=_flags_of_sha,
)
def evalsha_ro(s: Session, argv: list[bytes]) -> Reply:
    """EVALSHA_RO sha1 numkeys [key …] [arg …]"""
    return _evalsha(s, argv, read_only=True)


# -- the cache --------------------------------------------------------------------------------------------------

family.container("script", since="2.6.0", summary="Looks after the scripts that the server knows.")


@family.command(
    "script load",
    3,
    "noscript stale",
    since="2.6.0",
    summary="Compiles a script and remembers it.",
    complexity="O(N) with N being the length in bytes of the script body.",
    tips=_ALL_NODES,
)
def script_load(s: Session, argv: list[bytes]) -> Reply:
    """SCRIPT LOAD script"""
    return s.server.scripting.scripts.load(argv[2], keep=True).sha


@family.command(
    "script exists",
    -3,
    "noscript",
    since="2.6.0",
    summary="Tells which scripts are remembered.",
    complexity="O(N) with N being the number of scripts to check (so checking a single script is an O(1) operation).",
    tips=("request_policy:all_shards", "response_policy:agg_logical_and"),
)
def script_exists(s: Session, argv: list[bytes]) -> Reply:
    """SCRIPT EXISTS sha1 …"""
    find = s.server.scripting.scripts.find
    return [int(find(sha) is not None) for sha in argv[2:]]


@family.command(
    "script flush",
    -2,
    "noscript",
    since="2.6.0",
    summary="Forgets all scripts.",
    complexity="O(N) with N being the number of scripts in cache",
    tips=_ALL_NODES,
)
def script_flush(s: Session, argv: list[bytes]) -> Reply:
    """SCRIPT FLUSH [ASYNC|SYNC]"""
    if len(argv) > 3 or (len(argv) == 3 and argv[2].lower() not in (b"sync", b"async")):
        raise CommandError("ERR SCRIPT FLUSH only support SYNC|ASYNC option")
    s.server.scripting.flush_scripts()
    return OK


@family.command(
    "script kill",
    2,
    "noscript allow_busy",
    since="2.6.0",
    summary="Ends the script that is running.",
    tips=("request_policy:all_shards", "response_policy:one_succeeded"),
)
def script_kill(s: Session, argv: list[bytes]) -> Reply:
    """SCRIPT KILL"""
    s.server.scripting.kill(is_eval=True)
    return OK


@family.command(
    "script debug",
    3,
    "noscript",
    since="3.2.0",
    summary="Would run scripts step by step, which is not supported.",
)
def script_debug(s: Session, argv: list[bytes]) -> Reply:
    """SCRIPT DEBUG YES|SYNC|NO"""
    mode = argv[2].lower()
    if mode == b"no":
        return OK
    if mode in (b"yes", b"sync"):
        raise CommandError("ERR SCRIPT DEBUG is not supported by this server: it has no debugger for scripts")
    raise CommandError("ERR Use SCRIPT DEBUG YES/SYNC/NO")


@family.command("script help", 2, "loading stale", since="5.0.0", summary="Explains the subcommands.")
def script_help(s: Session, argv: list[bytes]) -> Reply:
    """SCRIPT HELP"""
    return help_reply(
        "SCRIPT",
        ("DEBUG (YES|SYNC|NO)", "NO is the only mode there is."),
        ("EXISTS <sha1> [<sha1> ...]", "Tell which of the scripts are remembered."),
        ("FLUSH [ASYNC|SYNC]", "Forget all scripts."),
        ("KILL", "End the script that is running, if it has not written."),
        ("LOAD <script>", "Remember a script without running it."),
    )
