"""MODULE: there are none, and none can be loaded, for a module is made for a server written in C.

LOAD, LOADEX and UNLOAD answer as Redis does where it fails: refused unless `enable-module-command` lets the client,
then an error whose reason is in the log.
"""

from __future__ import annotations

from typing import Final

from txrepl.commands.help import help_reply
from txrepl.commands.session import Session
from txrepl.commands.table import Family
from txrepl.errors import CommandError
from txrepl.resp.replies import Reply

family = Family("server")
family.container("module", since="4.0.0", summary="Extensions of the server.")

NOT_ALLOWED: Final = (
    'ERR MODULE command not allowed. If the enable-module-command option is set to "local", you can run it from a '
    "local connection, otherwise you need to set this option in the configuration file, and then restart the server."
)
_CHANGING: Final = "admin noscript no_async_loading"


def _check_allowed(s: Session) -> None:
    if not s.server.config.allows("enable-module-command", s.is_local):
        raise CommandError(NOT_ALLOWED)


@family.command(
    "module list",
    2,
    "admin noscript",
    since="4.0.0",
    summary="Lists the loaded modules.",
    complexity="O(N) where N is the number of loaded modules.",
    tips=("nondeterministic_output_order",),
)
def module_list(s: Session, argv: list[bytes]) -> Reply:
    """MODULE LIST: none."""
    return []


@family.command("module load", -3, _CHANGING, since="4.0.0", summary="Loads a module.")
def module_load(s: Session, argv: list[bytes]) -> Reply:
    """MODULE LOAD path [arg …]."""
    return _not_loaded(s, argv)


@family.command("module loadex", -3, _CHANGING, since="7.0.0", summary="Loads a module with directives of its own.")
def module_loadex(s: Session, argv: list[bytes]) -> Reply:
    """MODULE LOADEX path [CONFIG name value …] [ARGS arg …]."""
    return _not_loaded(s, argv)


def _not_loaded(s: Session, argv: list[bytes]) -> Reply:
    _check_allowed(s)
    path = argv[2].decode("utf-8", "backslashreplace")
    s.server.log("warning", f"Module {path} failed to load: txrepl cannot run modules made for Redis")
    raise CommandError("ERR Error loading the extension. Please check the server logs.")


@family.command("module unload", 3, _CHANGING, since="4.0.0", summary="Unloads a module.")
def module_unload(s: Session, argv: list[bytes]) -> Reply:
    """MODULE UNLOAD name."""
    _check_allowed(s)
    raise CommandError("ERR Error unloading module: no such module with that name")


@family.command("module help", 2, "loading stale", since="5.0.0", summary="Lists the subcommands.")
def module_help(s: Session, argv: list[bytes]) -> Reply:
    """MODULE HELP."""
    return help_reply(
        "MODULE",
        ("LIST", "The loaded modules; there are none."),
        ("LOAD <path> [<arg> ...]", "Refused: no module can be loaded."),
        ("LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]", "Refused likewise."),
        ("UNLOAD <name>", "Unload a module."),
    )
