"""FUNCTION and FCALL: functions of libraries that are part of the dataset. Follows functions.c of Redis 7.2."""

from __future__ import annotations

from typing import Any, Final

from txrepl.commands.help import help_reply
from txrepl.commands.scripting import flags_of_script, prepare, request_of, split_keys
from txrepl.commands.session import PRIMARY, Session
from txrepl.commands.table import Family, counted_keys
from txrepl.errors import CommandError, RdbError
from txrepl.keyspace.glob import compile_glob
from txrepl.keyspace.numbers import parse_integer
from txrepl.rdb.dump import dump_functions, restore_functions
from txrepl.resp.replies import OK, Reply, SetReply
from txrepl.scripting.engine import BUSY_SCRIPT
from txrepl.scripting.libraries import ENGINE, Function, Library
from txrepl.scripting.running import FLAG_NAMES

family = Family("scripting")

_COMPLEXITY: Final = "Depends on the function that is executed."
_ALL_SHARDS: Final = ("request_policy:all_shards", "response_policy:all_succeeded")


# -- calling ----------------------------------------------------------------------------------------------------


def _flags_of_function(server: Any, argv: list[bytes], flags: int) -> int:
    function = server.scripting.libraries.functions.get(argv[1])
    return flags if function is None else flags_of_script(flags, function.flags)


def _fcall(s: Session, argv: list[bytes], *, read_only: bool) -> Reply:
    server = s.server
    function = server.scripting.libraries.functions.get(argv[1])
    if function is None:
        raise CommandError("ERR Function not found")
    count = parse_integer(argv[2])
    if count is None:
        raise CommandError("ERR Bad number of keys provided")
    keys, arguments = split_keys(argv, count)
    may_write = prepare(s, function.flags, read_only=read_only)
    try:
        return server.scripting.run_function(
            function, request_of(s, argv, keys, arguments, function.flags, read_only=not may_write)
        )
    finally:
        s.keyspace.verbatim = False


@family.command(
    "fcall",
    -3,
    "noscript skip_monitor may_replicate no_mandatory_keys stale",
    counted_keys(2, "RW ACCESS UPDATE"),
    since="7.0.0",
    summary="Runs a function.",
    complexity=_COMPLEXITY,
    flags_of=_flags_of_function,
)
def fcall(s: Session, argv: list[bytes]) -> Reply:
    """FCALL function numkeys [key …] [arg …]"""
    return _fcall(s, argv, read_only=False)


@family.command(
    "fcall_ro",
    -3,
    "readonly noscript skip_monitor no_mandatory_keys stale",
    counted_keys(2, "RO ACCESS"),
    since="7.0.0",
    summary="Runs a function that only reads.",
    complexity=_COMPLEXITY,
    flags_of=_flags_of_function,
)
def fcall_ro(s: Session, argv: list[bytes]) -> Reply:
    """FCALL_RO function numkeys [key …] [arg …]"""
    return _fcall(s, argv, read_only=True)


# -- the libraries ----------------------------------------------------------------------------------------------

family.container("function", since="7.0.0", summary="Looks after the libraries of functions.")


@family.command(
    "function load",
    -3,
    "write denyoom noscript",
    since="7.0.0",
    summary="Adds a library of functions.",
    complexity="O(1) (considering compilation time is redundant)",
    tips=_ALL_SHARDS,
)
def function_load(s: Session, argv: list[bytes]) -> Reply:
    """FUNCTION LOAD [REPLACE] code"""
    for word in argv[2:-1]:
        if word.lower() != b"replace":
            raise CommandError(b"ERR Unknown option given: " + word)
    in_time = not s.flags & PRIMARY
    name = s.server.scripting.load_library(argv[-1], replace=len(argv) > 3, in_time=in_time)
    s.keyspace.dirty += 1
    return name


@family.command(
    "function delete",
    3,
    "write noscript",
    since="7.0.0",
    summary="Removes a library.",
    tips=_ALL_SHARDS,
)
def function_delete(s: Session, argv: list[bytes]) -> Reply:
    """FUNCTION DELETE library"""
    s.server.scripting.delete_library(argv[2])
    s.keyspace.dirty += 1
    return OK


@family.command(
    "function flush",
    -2,
    "write noscript",
    since="7.0.0",
    summary="Removes all libraries.",
    complexity="O(N) where N is the number of functions deleted",
    tips=_ALL_SHARDS,
)
def function_flush(s: Session, argv: list[bytes]) -> Reply:
    """FUNCTION FLUSH [ASYNC|SYNC]"""
    _at_most(argv, 3)
    if len(argv) == 3 and argv[2].lower() not in (b"sync", b"async"):
        raise CommandError("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")
    s.server.scripting.flush_libraries()
    s.keyspace.dirty += 1
    return OK


def _at_most(argv: list[bytes], words: int) -> None:
    """Refuse a subcommand with more words (`addReplySubcommandSyntaxError`)."""
    if len(argv) > words:
        shown = argv[1][:128].decode("utf-8", "surrogateescape")
        raise CommandError(f"ERR unknown subcommand or wrong number of arguments for '{shown}'. Try FUNCTION HELP.")


def _flag_reply(function: Function) -> SetReply:
    return SetReply(name.decode() for name, bit in FLAG_NAMES.items() if function.flags & bit)


def _library_reply(library: Library, *, code: bool) -> Reply:
    functions: list[Reply] = [
        {b"name": found.name, b"description": found.description, b"flags": _flag_reply(found)}
        for found in library.functions.values()
    ]
    reply: dict[Reply, Reply] = {b"library_name": library.name, b"engine": ENGINE, b"functions": functions}
    if code:
        reply[b"library_code"] = library.source
    return reply


@family.command(
    "function list",
    -2,
    "noscript",
    since="7.0.0",
    summary="Tells of the libraries.",
    complexity="O(N) where N is the number of functions",
    tips=("nondeterministic_output_order",),
)
def function_list(s: Session, argv: list[bytes]) -> Reply:
    """FUNCTION LIST [LIBRARYNAME pattern] [WITHCODE]"""
    code, named = False, None
    i = 2
    while i < len(argv):
        word = argv[i].lower()
        if word == b"withcode" and not code:
            code = True
        elif word == b"libraryname" and named is None:
            i += 1
            if i == len(argv):
                raise CommandError("ERR library name argument was not given")
            named = compile_glob(argv[i].lower())
        else:
            raise CommandError(b"ERR Unknown argument " + argv[i].partition(b"\0")[0])
        i += 1
    return [
        _library_reply(library, code=code)
        for library in s.server.scripting.libraries.by_name.values()
        if named is None or named(library.name.lower())
    ]


@family.command(
    "function stats",
    2,
    "noscript allow_busy",
    since="7.0.0",
    summary="Tells of the function that is running, and of the engines.",
    tips=("nondeterministic_output", "request_policy:all_shards", "response_policy:special"),
)
def function_stats(s: Session, argv: list[bytes]) -> Reply:
    """FUNCTION STATS"""
    engine = s.server.scripting
    run = engine.run
    running: Reply = None
    if run is not None:
        if run.is_eval:
            raise CommandError(BUSY_SCRIPT)
        running = {b"name": run.name, b"command": [*run.request.argv], b"duration_ms": engine.duration_ms()}
    libraries = engine.libraries
    counts: Reply = {b"libraries_count": len(libraries.by_name), b"functions_count": len(libraries.functions)}
    return {b"running_script": running, b"engines": {ENGINE: counts}}


@family.command(
    "function kill",
    2,
    "noscript allow_busy",
    since="7.0.0",
    summary="Ends the function that is running.",
    tips=("request_policy:all_shards", "response_policy:one_succeeded"),
)
def function_kill(s: Session, argv: list[bytes]) -> Reply:
    """FUNCTION KILL"""
    s.server.scripting.kill(is_eval=False)
    return OK


@family.command(
    "function dump",
    2,
    "noscript",
    since="7.0.0",
    summary="Gives all libraries as bytes that FUNCTION RESTORE takes.",
    complexity="O(N) where N is the number of functions",
)
def function_dump(s: Session, argv: list[bytes]) -> Reply:
    """FUNCTION DUMP"""
    return dump_functions(s.server.scripting.libraries.sources)


@family.command(
    "function restore",
    -3,
    "write denyoom noscript",
    since="7.0.0",
    summary="Adds the libraries that FUNCTION DUMP gave.",
    complexity="O(N) where N is the number of functions on the payload",
    tips=_ALL_SHARDS,
)
def function_restore(s: Session, argv: list[bytes]) -> Reply:
    """FUNCTION RESTORE payload [FLUSH|APPEND|REPLACE]"""
    _at_most(argv, 4)
    policy = argv[3].lower() if len(argv) == 4 else b"append"
    if policy not in (b"append", b"replace", b"flush"):
        raise CommandError("ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.")
    try:
        sources = restore_functions(argv[2])
    except RdbError as error:
        raise CommandError(f"ERR {error.reason}") from None
    s.server.scripting.restore_libraries(sources, flush=policy == b"flush", replace=policy == b"replace")
    s.keyspace.dirty += 1
    return OK


@family.command("function help", 2, "loading stale", since="7.0.0", summary="Explains the subcommands.")
def function_help(s: Session, argv: list[bytes]) -> Reply:
    """FUNCTION HELP"""
    return help_reply(
        "FUNCTION",
        ("LOAD [REPLACE] <FUNCTION CODE>", "Add a library, whose first line names it."),
        ("DELETE <LIBRARY NAME>", "Remove a library."),
        ("LIST [LIBRARYNAME PATTERN] [WITHCODE]", "Tell of the libraries, or of those whose names match."),
        ("STATS", "Tell of the function that is running, and of the engines."),
        ("KILL", "End the function that is running, if it has not written."),
        ("FLUSH [ASYNC|SYNC]", "Remove all libraries."),
        ("DUMP", "Give all libraries as bytes."),
        ("RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]", "Add the libraries of such bytes."),
    )
