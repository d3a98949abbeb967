"""The sink: what a reader tells whoever uses it.

It is a module of its own so that it stays interpreted where the reader is compiled: users subclass it.
"""

from __future__ import annotations

from txrepl.keyspace.values import Value


class Sink:
    """What a reader calls while it reads; every method here does nothing, override those that matter."""

    def aux(self, name: bytes, value: bytes) -> None:
        """A named fact about the file (`redis-ver`, `repl-id`, …); unknown names are to be ignored."""

    def select_db(self, index: int) -> None:
        """The keys that follow belong to this database."""

    def resize_db(self, keys: int, expires: int) -> None:
        """How many keys the database has, and how many of them expire: a hint, not checked."""

    def key(self, key: bytes, value: Value, expire_ms: int | None, idle_s: int | None, freq: int | None) -> None:
        """A key.

        Parameters:
            expire_ms: unix time in ms, None for never; may be in the past.
            idle_s: seconds since the last access, if the file says so.
            freq: logarithmic access counter (0-255), if the file says so.
        """

    def empty_key(self, key: bytes) -> None:
        """A key whose collection is empty: Redis skips it on load, and so is it not given to `key`."""

    def function(self, source: bytes) -> None:
        """The source of a function library."""

    def module_aux(self, module_id: int, when: int, payload: bytes) -> None:
        """Data of a module that belongs to no key; `when` is 1 before the keys, 2 after them."""
