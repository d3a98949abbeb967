"""From the command line to a configuration: redis-server's argument syntax.

`[FILE] [--directive value …]… [-]`: the file first, then standard input (a `-` first or last), then the
directives; the last word on a directive counts. Follows `main` of Redis 7.0's `server.c`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from txrepl.config.parse import Directive, parse_text, read_text
from txrepl.config.quoting import quote_word, split_words, to_bytes
from txrepl.config.store import Config

COMMAND_LINE: Final = "the command line"
STANDARD_INPUT: Final = "standard input"

USAGE: Final = """\
Usage: txrepl-server [FILE] [--DIRECTIVE VALUE ...]... [-]
       txrepl-server -           (read the configuration from standard input)
       txrepl-server -v | --version
       txrepl-server -h | --help

FILE is a configuration file in redis.conf's syntax. Any of its directives may be given as an option;
options win over standard input, which wins over the file.

Examples:
       txrepl-server
       txrepl-server /etc/txrepl/txrepl.conf
       txrepl-server --port 7777
       txrepl-server --port 7777 --replicaof 127.0.0.1 6379 --http-port 8379
       txrepl-server /etc/txrepl/txrepl.conf --loglevel verbose -
"""


@dataclass(frozen=True)
class Arguments:
    """What a command line asks for.

    Parameters:
        config_path: the absolute path of the configuration file, or None.
        directives: the options, in order.
        from_stdin: read standard input too.
        show: `version` or `help` when only that is wanted.
    """

    config_path: str | None = None
    directives: tuple[Directive, ...] = ()
    from_stdin: bool = False
    show: str | None = None


def parse_args(argv: Sequence[str]) -> Arguments:
    """Read a command line.

    Parameters:
        argv: the arguments without the program's name.
    Raises:
        ConfigError: an unknown directive or a wrong number of words.
    """
    if argv and argv[0] in ("-v", "--version"):
        return Arguments(show="version")
    if argv and argv[0] in ("-h", "--help"):
        return Arguments(show="help")
    has_file = bool(argv) and not argv[0].startswith("-")
    config_path = os.path.abspath(argv[0]) if has_file else None
    first, last = 0, len(argv) - 1
    from_stdin = False
    words: list[str] = []
    for at in range(1 if has_file else 0, len(argv)):
        if argv[at] == "-" and at in (first, last):
            from_stdin = True
        else:
            words.append(argv[at])
    return Arguments(config_path, tuple(parse_text(_options_text(words), COMMAND_LINE)), from_stdin)


def _options_text(words: Sequence[str]) -> str:
    """The options as configuration text, one line each.

    A `--name` takes the next word as its value even when that begins with `--`, except for a bare `--save`,
    which then means no save points (programs that build command lines from lists produce it).
    """
    lines: list[str] = []
    may_be_name = True
    for at, word in enumerate(words):
        if not (may_be_name and word.startswith("--")):
            value = quote_word(to_bytes(word))
            if lines:
                lines[-1] += value + " "
            else:
                lines.append(value + " ")
            may_be_name = True
            continue
        line = word[2:] + " "
        is_bare = len(split_words(to_bytes(word)) or ()) == 1
        is_last = at == len(words) - 1
        if is_bare and word.lower() == "--save" and (is_last or words[at + 1].startswith("--")):
            line += '""'
            is_bare = False
        may_be_name = not is_bare
        lines.append(line)
    return "\n".join(lines)


def build_config(arguments: Arguments, stdin_text: str | None = None) -> Config:
    """The configuration that the arguments, their file and standard input make together.

    Parameters:
        arguments: from `parse_args`.
        stdin_text: what standard input gave, when `arguments.from_stdin`.
    Raises:
        ConfigError: a file cannot be read, or a directive is refused.
    """
    config = Config(arguments.config_path)
    directives: list[Directive] = []
    if arguments.config_path is not None:
        directives += parse_text(read_text(arguments.config_path), arguments.config_path)
    if stdin_text is not None:
        directives += parse_text(stdin_text, STANDARD_INPUT)
    config.load([*directives, *arguments.directives])
    return config
