"""The configuration: one declarative table of directives, and what reads and writes them.

quoting    words of a line, and back
kinds      the types of values; `special` the ones with a form of their own
table      every directive: name, kind, default, bounds, mutable or not, honoured or not
parse      redis.conf's syntax to directives
store      `Config`: the values while the server runs (CONFIG GET and SET)
start      redis-server's command line to a `Config`
rewrite    CONFIG REWRITE
"""

from __future__ import annotations

from txrepl.config.parse import PRESENTED_VERSION, Directive, fatal, known_names, nearest_name, parse_text, read_text
from txrepl.config.rewrite import overwrite_file, rewrite
from txrepl.config.special import BufferLimit, BufferLimits
from txrepl.config.start import USAGE, Arguments, build_config, parse_args
from txrepl.config.store import MASK, Config
from txrepl.config.table import FILE_ONLY, TABLE, Spec, find

__all__ = [
    "FILE_ONLY",
    "MASK",
    "PRESENTED_VERSION",
    "TABLE",
    "USAGE",
    "Arguments",
    "BufferLimit",
    "BufferLimits",
    "Config",
    "Directive",
    "Spec",
    "build_config",
    "fatal",
    "find",
    "known_names",
    "nearest_name",
    "overwrite_file",
    "parse_args",
    "parse_text",
    "read_text",
    "rewrite",
]
