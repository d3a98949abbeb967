"""Every error type of txrepl, one per boundary that it may cross.

A module raises the type of its own boundary and nothing else: bad client input is a `CommandError`
(sent as a RESP error), bytes that break RESP are a `ProtocolError` (sent, then the connection is
closed), a bad RDB is an `RdbError` (position and reason), a bad directive is a `ConfigError`.
"""

from __future__ import annotations


class TxreplError(Exception):
    """Base of all errors that txrepl raises on purpose."""


class CommandError(TxreplError):
    """A command was refused; the message is what the client reads after the `-`.

    Parameters:
        message: the whole error text, code first, as Redis sends it (`ERR syntax error`).
            Text is sent as UTF-8; line breaks in it are replaced when it is encoded.

    Attributes:
        counted: INFO errorstats has it already, under the command of a script that failed with it.
    """

    counted: bool = False

    def __init__(self, message: str | bytes) -> None:
        super().__init__(message)
        self.message: bytes = message if isinstance(message, bytes) else message.encode("utf-8", "surrogateescape")

    @property
    def code(self) -> str:
        """The first word, as INFO errorstats counts it."""
        return self.message.split(b" ", 1)[0].decode("latin-1")

    @property
    def quoted(self) -> str:
        """The text as the log quotes it: a code behind a `-`, without the general `ERR` (`afterErrorReply`)."""
        text = self.message.decode("utf-8", "backslashreplace")
        return text.removeprefix("ERR ") if text.startswith("ERR ") else f"-{text}"


class ProtocolError(TxreplError):
    """A peer's bytes break RESP; the message is Redis's text without the `-ERR `."""


class RdbError(TxreplError):
    """An RDB is corrupt, truncated or of a version that cannot be read.

    Parameters:
        reason: what is wrong, in words.
        position: offset in bytes from the start of the file where it was found.
    """

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(f"{reason} (at byte {position})")
        self.reason = reason
        self.position = position


class ConfigError(TxreplError):
    """A directive is unknown, or its value is refused; the message names it."""


class StartError(TxreplError):
    """The server cannot start; the message is the last line of its log."""


class ReplicationError(TxreplError):
    """A primary or replica broke the replication conversation; the message says how."""


class SyncRefusedError(ReplicationError):
    """The primary cannot bring us up to date now, and told us so; it is to be asked again."""


class SilenceError(ReplicationError):
    """The primary said nothing for `repl-timeout`."""


class AuthenticationRefusedError(ReplicationError):
    """The primary does not accept our user and password."""


class MigrationError(TxreplError):
    """The connection to the target of a MIGRATE failed; the message is what follows `IOERR error or timeout `.

    Parameters:
        doing: `connecting`, `writing` or `reading`.
        timed_out: the target was silent for too long.
    """

    def __init__(self, doing: str, *, timed_out: bool = False) -> None:
        super().__init__("connecting to the client" if doing == "connecting" else f"{doing} to target instance")
        self.timed_out = timed_out


WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
SYNTAX = "ERR syntax error"
NOT_AN_INTEGER = "ERR value is not an integer or out of range"
NOT_A_FLOAT = "ERR value is not a valid float"
NO_SUCH_KEY = "ERR no such key"
OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'."
OUT_OF_RANGE = "ERR index out of range"
