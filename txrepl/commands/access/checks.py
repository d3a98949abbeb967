"""May a user run this command with these words? Commands, then keys, then channels (`ACLCheckAllUserCommandPerm`).

A request passes if one selector allows all of it. When none does, the one that came furthest says what is denied: a
channel before a key before the command, and of these the last in the words.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import Final

from txrepl.commands.access.selectors import READ, WRITE, Selector
from txrepl.commands.access.users import User
from txrepl.commands.table import NO_AUTH, Command
from txrepl.errors import CommandError

_PERMISSIONS: Final = {"ACCESS": READ, "INSERT": WRITE, "DELETE": WRITE, "UPDATE": WRITE}
_CHANNELS: Final = {
    "publish": (2, False),
    "spublish": (2, False),
    "subscribe": (None, False),
    "ssubscribe": (None, False),
    "psubscribe": (None, True),
}
"""Commands with channels: where these end in the words, and whether they are patterns."""


class Reason(IntEnum):
    """What is denied, in the order in which Redis prefers to tell it."""

    COMMAND = 1
    KEY = 2
    CHANNEL = 3
    AUTH = 4


class Denial:
    """Why a user may not.

    Parameters:
        reason: what is denied.
        user: to whom.
        command: the command that was asked for.
        position: which of its words is denied; 0 for the command.
        subject: that word, or the command's full name.
    """

    __slots__ = ("_user", "position", "reason", "subject")

    def __init__(self, reason: Reason, user: User, command: Command, position: int, argv: list[bytes]) -> None:
        self.reason = reason
        self._user = user
        self.position = position
        self.subject = command.name.encode() if reason is Reason.COMMAND else argv[position]

    def text(self, *, verbose: bool = False) -> bytes:
        """The denial in Redis 7.2's words (`getAclErrorMessage`); keys and channels are only named if `verbose`."""
        name = self._user.name
        if self.reason is Reason.COMMAND:
            return b"User %b has no permissions to run the '%b' command" % (name, self.subject)
        kind = self.reason.name.lower().encode()
        if verbose:
            return b"User %b has no permissions to access the '%b' %b" % (name, self.subject, kind)
        return b"No permissions to access a %b" % kind


def check(user: User | None, command: Command, argv: list[bytes]) -> Denial | None:
    """Why a user may not run a command; None if it may.

    Parameters:
        user: who asks; None may do everything.
        command: what `argv` calls, of the right arity.
        argv: all words.
    """
    if user is None:
        return None
    keys: list[tuple[int, int]] | None = None
    worst: tuple[Reason, int] = (Reason.COMMAND, 0)
    for selector in user.selectors:
        if not command.flags & NO_AUTH and not selector.allows_command(command, argv):
            continue
        if not selector.all_keys:
            if keys is None:
                keys = _key_uses(command, argv)
            denied = next((at for at, uses in keys if not selector.allows_key(argv[at], uses)), None)
            if denied is not None:
                worst = max(worst, (Reason.KEY, denied))
                continue
        denied = None if selector.all_channels else _denied_channel(selector, command, argv)
        if denied is None:
            return None
        worst = max(worst, (Reason.CHANNEL, denied))
    return Denial(worst[0], user, command, worst[1], argv)


def may_read_every_key(user: User | None, command: Command, argv: list[bytes]) -> bool:
    """Whether the user may run this command, and read any key in it too (`ACLUserCheckCmdWithUnrestrictedKeyAccess`).

    SORT's BY and GET want it, since the keys that they read are in the data.
    """
    if user is None:
        return True
    keys = None
    for selector in user.selectors:
        if not selector.allows_every_key(READ) or not selector.allows_command(command, argv):
            continue
        if keys is None:
            keys = _key_uses(command, argv)
        if all(selector.allows_key(argv[at], uses) for at, uses in keys):
            return True
    return False


def _key_uses(command: Command, argv: list[bytes]) -> list[tuple[int, int]]:
    """Where the keys are, and what is done with each; words that name no keys as they should name none."""
    if not command.keys and command.find_keys is None:
        return []
    try:
        return [(at, _uses(flags)) for at, flags in command.key_positions(argv)]
    except CommandError:
        return []  # the command will say what is wrong


@lru_cache(maxsize=64)
def _uses(flags: str) -> int:
    """What a key specification's flags want to be allowed."""
    uses = 0
    for word in flags.split():
        uses |= _PERMISSIONS.get(word, 0)
    return uses


def _denied_channel(selector: Selector, command: Command, argv: list[bytes]) -> int | None:
    """Where the first channel is that the selector does not allow."""
    described = _CHANNELS.get(command.name)
    if described is None:
        return None
    end, is_pattern = described
    for at in range(1, len(argv) if end is None else end):
        if not selector.allows_channel(argv[at], is_pattern=is_pattern):
            return at
    return None
