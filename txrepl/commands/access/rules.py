"""The words of ACL rules, and why one is refused (`ACLSetUserStringError`).

Words are compared as C strings are: in any case, and only up to a NUL.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from txrepl.errors import TxreplError

SYNTAX: Final = "Syntax error"
UNKNOWN: Final = "Unknown command or category name in ACL"
AFTER_ALL_KEYS: Final = (
    "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. "
    "Try 'resetkeys' to start with an empty list of patterns"
)
AFTER_ALL_CHANNELS: Final = (
    "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. "
    "Try 'resetchannels' to start with an empty list of channels"
)
NO_SUCH_PASSWORD: Final = "The password you are trying to remove from the user does not exist"
BAD_HASH: Final = "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
DUPLICATE: Final = "Duplicate user found. A user can only be defined once in config files"
ARGUMENT_OF_SUBCOMMAND: Final = "Allowing first-arg of a subcommand is not supported"
DEFAULT: Final = b"default"
"""The user that every connection begins as, and that cannot be deleted."""

_BLANKS: Final = frozenset(b" \t\n\r\x0b\x0c\0")


class RuleError(TxreplError):
    """A rule is refused; the message is one of the texts above.

    Attributes:
        rule: the rule, set by who applies several.
    """

    rule: bytes = b""

    @property
    def is_unknown(self) -> bool:
        """The rule names a command or category that there is not (`ENOENT`)."""
        return str(self) == UNKNOWN


class UnmatchedError(TxreplError):
    """A selector's parenthesis is opened and never closed.

    Parameters:
        at: the index of the word that opens it.
    """

    def __init__(self, at: int) -> None:
        super().__init__(f"unmatched parenthesis at word {at}")
        self.at = at


def c_string(text: bytes) -> bytes:
    """What a C string of these bytes is."""
    return text.partition(b"\0")[0]


def has_blanks(text: bytes) -> bool:
    """Whether blanks or NULs are in a name or pattern, which could not be written in a rule then."""
    return not _BLANKS.isdisjoint(text)


def merge_selectors(words: Sequence[bytes]) -> list[bytes]:
    """The rules of a user, selectors that stretch over several words joined into one (`ACLMergeSelectorArguments`).

    Raises:
        UnmatchedError: a parenthesis is never closed.
    """
    merged: list[bytes] = []
    opened: int | None = None
    for at, word in enumerate(words):
        if opened is not None:
            merged[-1] += b" " + c_string(word)
            if word.endswith(b")"):
                opened = None
            continue
        merged.append(word)
        if word.startswith(b"(") and not word.endswith(b")"):
            opened = at
    if opened is not None:
        raise UnmatchedError(opened)
    return merged
