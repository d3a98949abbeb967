"""Users: who there is, how they prove who they are, and what each may do.

Passwords are kept as the hexadecimal SHA-256 that Redis keeps, and compared in constant time. A change is staged on a
copy and taken over as a whole, so that a refused rule leaves the user as it was.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable
from typing import Final

from txrepl.commands.access.rules import (
    BAD_HASH,
    DEFAULT,
    NO_SUCH_PASSWORD,
    RuleError,
    c_string,
)
from txrepl.commands.access.selectors import Selector
from txrepl.commands.table import CommandTable
from txrepl.config.quoting import split_words

_HASH_DIGITS: Final = 64
_HEX: Final = frozenset(b"0123456789abcdef")
SKIP_SANITIZE: Final = b"skip-sanitize-payload"
SANITIZE: Final = b"sanitize-payload"


def hash_password(password: bytes) -> bytes:
    """How a password is kept: 64 hexadecimal digits (`ACLHashPassword`)."""
    return hashlib.sha256(password).hexdigest().encode()


def _checked_hash(text: bytes) -> bytes:
    if len(text) != _HASH_DIGITS or not _HEX.issuperset(text):
        raise RuleError(BAD_HASH)
    return text


class User:
    """One user.

    Parameters:
        name: in bytes, without blanks.
        table: the commands that its rules can name.
        all_channels: a new selector allows all channels (`acl-pubsub-default`).
        log: takes a warning about a rule.

    Attributes:
        enabled: whether one may log in as this user.
        without_password: any password will do.
        sanitizing: `sanitize-payload` or `skip-sanitize-payload` as it was said last, empty if neither was.
        passwords: hashes, in order.
        selectors: the root selector, and those in parentheses.
    """

    __slots__ = (
        "_all_channels",
        "_log",
        "_table",
        "enabled",
        "name",
        "passwords",
        "sanitizing",
        "selectors",
        "without_password",
    )

    def __init__(
        self, name: bytes, table: CommandTable, all_channels: Callable[[], bool], log: Callable[[str], None]
    ) -> None:
        self.name = name
        self._table = table
        self._all_channels = all_channels
        self._log = log
        self.enabled = False
        self.without_password = False
        self.sanitizing = b""
        self.passwords: dict[bytes, None] = {}
        self.selectors = [self._new_selector()]

    def _new_selector(self) -> Selector:
        return Selector(self._table, all_channels=self._all_channels())

    def copy(self) -> User:
        """A user of its own, of the same name and with the same rights."""
        made = User(self.name, self._table, self._all_channels, self._log)
        made.become(self)
        return made

    def become(self, other: User) -> None:
        """Take over all but the name (`ACLCopyUser`)."""
        self.enabled = other.enabled
        self.without_password = other.without_password
        self.sanitizing = other.sanitizing
        self.passwords = dict(other.passwords)
        self.selectors = [selector.copy() for selector in other.selectors]

    @property
    def root(self) -> Selector:
        """The selector that the user's own rules make."""
        return self.selectors[0]

    @property
    def is_unrestricted(self) -> bool:
        """Whether the user may do everything, so that nothing needs to be checked."""
        return any(selector.is_unrestricted for selector in self.selectors)

    @property
    def needs_login(self) -> bool:
        """Whether nobody is this user without saying so: for the default user, whether connections must log in."""
        return not self.without_password or not self.enabled

    # -- rules --------------------------------------------------------------------------------------------------

    def apply(self, rule: bytes) -> None:
        """Change the user by one rule (`ACLSetUser`).

        Raises:
            RuleError: the rule is refused, nothing has changed.
        """
        word = c_string(rule).lower()
        if not rule:
            return
        if word in _FLAGS:
            _FLAGS[word](self)
        elif rule[:1] in (b">", b"#"):
            password = hash_password(rule[1:]) if rule[:1] == b">" else _checked_hash(rule[1:])
            self.passwords[password] = None
            self.without_password = False
        elif rule[:1] in (b"<", b"!"):
            password = hash_password(rule[1:]) if rule[:1] == b"<" else _checked_hash(rule[1:])
            if password not in self.passwords:
                raise RuleError(NO_SUCH_PASSWORD)
            del self.passwords[password]
        elif rule[:1] == b"(" and rule.endswith(b")") and len(rule) > 1:
            selector = self._new_selector()
            for part in split_words(rule[1:-1]) or ():
                selector.apply(part, self._log)
            self.selectors.append(selector)
        else:
            self.root.apply(rule, self._log)

    def _enable(self) -> None:
        self.enabled = True

    def _disable(self) -> None:
        self.enabled = False

    def _skip_sanitizing(self) -> None:
        self.sanitizing = SKIP_SANITIZE

    def _sanitize(self) -> None:
        self.sanitizing = SANITIZE

    def _want_no_password(self) -> None:
        self.without_password = True
        self.passwords = {}

    def _reset_passwords(self) -> None:
        self.without_password = False
        self.passwords = {}

    def _clear_selectors(self) -> None:
        del self.selectors[1:]

    def _reset(self) -> None:
        self._reset_passwords()
        self._disable()
        self._sanitize()
        self._clear_selectors()
        root = self.root
        root.reset_keys()
        root.reset_channels()
        if self._all_channels():
            root.allow_all_channels()
        root.deny_all_commands()

    def set_password(self, password: bytes) -> None:
        """Make this the only password; an empty one means that none is wanted (`ACLUpdateDefaultUserPassword`)."""
        self._reset_passwords()
        if password:
            self.apply(b">" + password)
        else:
            self._want_no_password()

    # -- asking -------------------------------------------------------------------------------------------------

    def accepts(self, password: bytes) -> bool:
        """Whether one may log in with this password (`ACLCheckUserCredentials`); takes the same time for each."""
        if not self.enabled:
            return False
        if self.without_password:
            return True
        given = hash_password(password)
        found = False
        for known in self.passwords:
            found |= hmac.compare_digest(given, known)
        return found

    def flags(self) -> list[bytes]:
        """The flags as rules, in Redis's order."""
        shown = [b"on" if self.enabled else b"off"]
        if self.without_password:
            shown.append(b"nopass")
        if self.sanitizing:
            shown.append(self.sanitizing)
        return shown

    def shown(self) -> bytes:
        """All rules that make such a user out of a new one (`ACLDescribeUser`)."""
        root, *others = self.selectors
        return b" ".join(
            (
                *self.flags(),
                *(b"#" + password for password in self.passwords),
                root.shown(),
                *(selector.shown_in_parentheses() for selector in others),
            )
        )


_FLAGS: Final[dict[bytes, Callable[[User], None]]] = {
    b"on": User._enable,
    b"off": User._disable,
    b"skip-sanitize-payload": User._skip_sanitizing,
    b"sanitize-payload": User._sanitize,
    b"nopass": User._want_no_password,
    b"resetpass": User._reset_passwords,
    b"clearselectors": User._clear_selectors,
    b"reset": User._reset,
}


class Users:
    """The server's users by name; there is always the default one.

    Parameters:
        table: the commands that rules can name.
        log: takes a warning about a rule.

    Attributes:
        default: the user that every connection begins as; the object stays the same.
        new_may_use_all_channels: new users and selectors may use all channels (`acl-pubsub-default`).
    """

    def __init__(self, table: CommandTable, log: Callable[[str], None]) -> None:
        self._table = table
        self._log = log
        self.new_may_use_all_channels = False
        self.default = self._new_default()
        self._users: dict[bytes, User] = {DEFAULT: self.default}

    def _new_default(self) -> User:
        user = self.new(DEFAULT)
        for rule in (b"+@all", b"~*", b"&*", b"on", b"nopass"):
            user.apply(rule)
        return user

    def new(self, name: bytes) -> User:
        """A user who may do nothing yet and is not among the others."""
        return User(name, self._table, lambda: self.new_may_use_all_channels, self._log)

    def find(self, name: bytes) -> User | None:
        """The user of that name."""
        return self._users.get(name)

    def all(self) -> list[User]:
        """All users by name."""
        return [self._users[name] for name in sorted(self._users)]

    def add(self, user: User) -> None:
        """Have one more user."""
        assert user.name not in self._users
        self._users[user.name] = user

    def remove(self, name: bytes) -> User | None:
        """Have a user no more; None if there was none of that name."""
        assert name != DEFAULT
        return self._users.pop(name, None)

    def staged(self, name: bytes, rules: Iterable[bytes]) -> User:
        """What a user would be after these rules: a copy, or a new one where there is none of that name.

        Raises:
            RuleError: a rule is refused; its `rule` attribute tells which.
        """
        known = self._users.get(name)
        user = self.new(name) if known is None else known.copy()
        for rule in rules:
            try:
                user.apply(rule)
            except RuleError as error:
                error.rule = rule
                raise
        return user

    def replace_all(self, users: Iterable[User]) -> list[User]:
        """Have these users instead (ACL LOAD); the default one takes its new rights over, or its first ones.

        Returns:
            Those who are no more, under whose names others may be now.
        """
        gone = [user for name, user in self._users.items() if name != DEFAULT]
        fresh = {user.name: user for user in users}
        self.default.become(fresh.get(DEFAULT) or self._new_default())
        self._users = {**fresh, DEFAULT: self.default}
        return gone
