"""FUNCTION's libraries: named sources, each of which registers functions when it is loaded.

The sources are part of the dataset (`Keyspace.functions`): files and full syncs carry them. What a machine made of them
is made again whenever the dataset brings others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from txrepl.config.quoting import split_words
from txrepl.errors import CommandError
from txrepl.scripting.machine import Machine
from txrepl.scripting.running import FLAG_NAMES

ENGINE: Final = b"LUA"
BAD_NAME: Final = (
    "ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long"
)
_NAME: Final = re.compile(rb"[A-Za-z0-9_]+\Z")
_OVERHEAD_BYTES: Final = 200
"""What a library or function takes beside its text."""


class Function:
    """A function of a library.

    Attributes:
        callback: what the machine runs.
        number: the machine's name for it.
    """

    __slots__ = ("callback", "description", "flags", "name", "number")

    def __init__(self, name: bytes, description: bytes | None, flags: int, number: int) -> None:
        self.name = name
        self.description = description
        self.flags = flags
        self.number = number
        self.callback: Any = None


class Library:
    """A library.

    Attributes:
        source: its whole text, shebang line included.
    """

    __slots__ = ("functions", "name", "source")

    def __init__(self, name: bytes, source: bytes) -> None:
        self.name = name
        self.source = source
        self.functions: dict[bytes, Function] = {}


def read_header(source: bytes) -> tuple[bytes, bytes, int]:
    """Engine and name of a library, and where its code begins (`functionExtractLibMetaData`).

    Raises:
        CommandError: its first line does not say so.
    """
    if not source.startswith(b"#!"):
        raise CommandError("ERR Missing library metadata")
    end = source.find(b"\n")
    parts = split_words(source[:end]) if end >= 0 else None
    if not parts:
        raise CommandError("ERR Invalid library metadata")
    name: bytes | None = None
    for part in parts[1:]:
        if part[:5].lower() != b"name=":
            raise CommandError(b"ERR Invalid metadata value given: " + part)
        if name is not None:
            raise CommandError("ERR Invalid metadata value, name argument was given multiple times")
        name = part[5:]
    if name is None:
        raise CommandError("ERR Library name was not given")
    return parts[0][2:], name, end


class Loader:
    """Makes libraries of their sources.

    Parameters:
        machine: gives the machine, made when it is first needed.
    """

    def __init__(self, machine: Callable[[], Machine]) -> None:
        self._machine = machine
        self._loading: Library | None = None
        self._last_number = 0

    def register(self, name: bytes, description: bytes | None, flags: list[bytes]) -> int | bytes:
        """redis.register_function: the number of the callback, or what is wrong."""
        library = self._loading
        if library is None:
            return b"redis.register_function can only be called on FUNCTION LOAD command"
        bits = 0
        for flag in flags:
            if flag.lower() not in FLAG_NAMES:
                return b"unknown flag given"
            bits |= FLAG_NAMES[flag.lower()]
        if not _NAME.match(name):
            return BAD_NAME.removeprefix("ERR ").encode()
        if name in library.functions:
            return b"Function already exists in the library"
        self._last_number += 1
        library.functions[name] = Function(name, description, bits, self._last_number)
        return self._last_number

    def make(self, name: bytes, source: bytes, start: int) -> Library:
        """A library from its source.

        Parameters:
            name: its name.
            source: the whole text.
            start: where its code begins.

        Raises:
            CommandError: it does not compile, or registers nothing.
        """
        machine = self._machine()
        library = Library(name, source)
        try:
            program = machine.compile(source[start:], b"@user_function")
        except CommandError as error:
            raise CommandError(b"ERR Error compiling function: " + error.message) from None
        self._loading = library
        try:
            problem = machine.load_library(program)
        finally:
            self._loading = None
        if problem is None and library.functions:
            for function in library.functions.values():
                function.callback = machine.callback(function.number)
            return library
        self.forget(library)
        if problem is None:
            raise CommandError("ERR No functions registered")
        code = b"" if problem.startswith(b"ERR ") else b"ERR "  # Lua's own errors have none
        raise CommandError(b"ERR Error registering functions: " + code + problem)

    def forget(self, library: Library) -> None:
        """The library is not used any more."""
        for function in library.functions.values():
            self._machine().forget(function.number)


class Libraries:
    """Libraries, and their functions by name.

    Parameters:
        loader: makes them.
    """

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self.by_name: dict[bytes, Library] = {}
        self.functions: dict[bytes, Function] = {}

    def load(self, source: bytes, *, replace: bool) -> Library:
        """Compile and add a library (`functionsCreateWithLibraryCtx`).

        Parameters:
            source: its text.
            replace: it may take the place of one of the same name.

        Raises:
            CommandError: it is none, or collides; nothing has changed.
        """
        engine, name, start = read_header(source)
        if not _NAME.match(name):
            raise CommandError(BAD_NAME)
        if engine.upper() != ENGINE:
            raise CommandError(b"ERR Engine '%b' not found" % engine)
        old = self.by_name.get(name)
        if old is not None and not replace:
            raise CommandError(b"ERR Library '%b' already exists" % name)
        library = self._loader.make(name, source, start)
        going = old.functions if old is not None else {}
        for function in library.functions:
            if function in self.functions and function not in going:
                self._loader.forget(library)
                raise CommandError(b"ERR Function %b already exists" % function)
        if old is not None:
            self._unlink(old)
        self._link(library)
        return library

    def _link(self, library: Library) -> None:
        self.by_name[library.name] = library
        self.functions.update(library.functions)

    def _unlink(self, library: Library) -> None:
        del self.by_name[library.name]
        for name in library.functions:
            del self.functions[name]
        self._loader.forget(library)

    def delete(self, name: bytes) -> None:
        """Remove a library.

        Raises:
            CommandError: there is none of that name.
        """
        library = self.by_name.get(name)
        if library is None:
            raise CommandError("ERR Library not found")
        self._unlink(library)

    def clear(self) -> None:
        """Remove all."""
        for library in list(self.by_name.values()):
            self._unlink(library)

    def join(self, sources: Iterable[bytes], *, replace: bool) -> None:
        """Add several libraries, or none of them (`libraryJoin`).

        Parameters:
            sources: their texts.
            replace: they take the places of those of the same names.

        Raises:
            CommandError: one of them is none, or collides.
        """
        staged = Libraries(self._loader)
        try:
            for source in sources:
                staged.load(source, replace=False)
            self._check_collisions(staged, replace=replace)
        except CommandError:
            staged.clear()
            raise
        for name, library in staged.by_name.items():
            if name in self.by_name:
                self._unlink(self.by_name[name])
            self._link(library)

    def _check_collisions(self, staged: Libraries, *, replace: bool) -> None:
        going: set[bytes] = set()
        for name in staged.by_name:
            old = self.by_name.get(name)
            if old is not None:
                if not replace:
                    raise CommandError(b"ERR Library %b already exists" % name)
                going |= old.functions.keys()
        for function in staged.functions:
            if function in self.functions and function not in going:
                raise CommandError(b"ERR Function %b already exists" % function)

    @property
    def sources(self) -> list[bytes]:
        """The texts of all libraries."""
        return [library.source for library in self.by_name.values()]

    @property
    def size_bytes(self) -> int:
        """What the libraries take, but for Lua's part."""
        return sum(len(library.source) for library in self.by_name.values()) + _OVERHEAD_BYTES * (
            len(self.by_name) + len(self.functions)
        )
