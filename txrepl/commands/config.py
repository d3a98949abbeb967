"""CONFIG: the directives while the server runs."""

from __future__ import annotations

from typing import Final

from txrepl.commands.acl import user_lines
from txrepl.commands.help import help_reply
from txrepl.commands.session import Session
from txrepl.commands.table import Family
from txrepl.config import find, overwrite_file, read_text, rewrite
from txrepl.errors import SYNTAX, CommandError, ConfigError
from txrepl.keyspace.glob import compile_glob
from txrepl.resp.replies import OK, Reply

family = Family("server")
family.container("config", since="2.0.0", summary="The server's directives.")

_ADMIN: Final = "admin noscript loading stale"
_ALL_NODES: Final = ("request_policy:all_nodes", "response_policy:all_succeeded")


@family.command(
    "config get",
    -3,
    _ADMIN,
    since="2.0.0",
    summary="Gives the values of directives.",
    complexity="O(N) when N is the number of configuration parameters provided",
)
def config_get(s: Session, argv: list[bytes]) -> Reply:
    """CONFIG GET pattern …"""
    found = s.server.config.get_matching(argv[2:], compile_glob)
    return {name: found[name] for name in found}


def _secret_values(argv: list[bytes]) -> list[int]:
    """The values of directives that are masked."""
    specs = [find(name.decode("latin-1")) for name in argv[2:-1:2]]
    return [3 + 2 * number for number, spec in enumerate(specs) if spec is not None and spec.secret]


@family.command(
    "config set",
    -4,
    _ADMIN,
    since="2.0.0",
    summary="Changes directives, all of them or none.",
    complexity="O(N) when N is the number of configuration parameters provided",
    tips=_ALL_NODES,
    secrets=_secret_values,
)
def config_set(s: Session, argv: list[bytes]) -> Reply:
    """CONFIG SET directive value …"""
    if len(argv) % 2:
        raise CommandError(SYNTAX)
    words = [word.decode("utf-8", "surrogateescape") for word in argv[2:]]
    config = s.server.config
    try:
        config.set_many(
            list(zip(words[::2], words[1::2], strict=True)),
            is_local=s.is_local,
            is_loading=s.server.loading is not None,
        )
    except ConfigError as error:
        raise CommandError(str(error)) from None
    finally:
        for warning in config.take_warnings():
            s.server.log("warning", warning)
    return OK


@family.command(
    "config rewrite",
    2,
    _ADMIN,
    since="2.8.0",
    summary="Writes the present values into the configuration file.",
    tips=_ALL_NODES,
)
def config_rewrite(s: Session, argv: list[bytes]) -> Reply:
    """CONFIG REWRITE."""
    config = s.server.config
    path = config.file_path
    if path is None:
        raise CommandError("ERR The server is running without a config file")
    try:
        overwrite_file(path, rewrite(read_text(path), config, {"user": user_lines(s.server)}))
    except ConfigError as error:
        s.server.log("warning", f"CONFIG REWRITE failed: {error}")
        raise CommandError(f"ERR Rewriting config file: {error}") from None
    except OSError as error:
        s.server.log("warning", f"CONFIG REWRITE failed: {error.strerror}")
        raise CommandError(f"ERR Rewriting config file: {error.strerror}") from None
    s.server.log("notice", "CONFIG REWRITE executed with success.")
    return OK


@family.command(
    "config resetstat",
    2,
    _ADMIN,
    since="2.0.0",
    summary="Sets INFO's counters to zero.",
    tips=_ALL_NODES,
)
def config_resetstat(s: Session, argv: list[bytes]) -> Reply:
    """CONFIG RESETSTAT (`resetServerStats`, `resetCommandTableStats`, `resetErrorTableStats`)."""
    server = s.server
    server.stats.reset()
    server.keyspace.lazyfree.freed = 0
    keyspace = s.keyspace
    keyspace.hits = keyspace.misses = keyspace.expired_keys = keyspace.expired_fields = 0
    primary = server.primary
    primary.full_syncs = primary.partial_ok = primary.partial_err = 0
    for command in server.table.every():
        command.reset_counters()
    return OK


@family.command("config help", 2, "loading stale", since="5.0.0", summary="Lists the subcommands.")
def config_help(s: Session, argv: list[bytes]) -> Reply:
    """CONFIG HELP."""
    return help_reply(
        "CONFIG",
        ("GET <pattern>", "Names and values of the directives that match."),
        ("SET <directive> <value>", "Change a directive."),
        ("RESETSTAT", "Set the counters of INFO to zero."),
        ("REWRITE", "Write the present values into the configuration file."),
    )
