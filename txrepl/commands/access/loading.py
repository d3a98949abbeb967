"""Users from text: the configuration's `user NAME rule …` lines, and the lines of an ACL file.

Either all of them are taken or none. The configuration is checked line by line (`ACLAppendUserForLoading`), but for
commands that there are not, which Redis tells only when it has read all of it (`ACLLoadConfiguredUsers`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from txrepl.commands.access.rules import (
    DEFAULT,
    DUPLICATE,
    SYNTAX,
    RuleError,
    UnmatchedError,
    has_blanks,
    merge_selectors,
)
from txrepl.commands.access.users import User, Users
from txrepl.errors import TxreplError


class UserLinesError(TxreplError):
    """The users cannot be taken; the message says why, in Redis's words."""


@dataclass
class Declared:
    """The users of the configuration's lines so far.

    Attributes:
        rules: by name, in order.
    """

    rules: dict[bytes, list[bytes]] = field(default_factory=dict)

    def add(self, users: Users, words: Sequence[bytes]) -> None:
        """Take one line.

        Parameters:
            users: checks the rules; nobody is changed.
            words: name and rules.

        Raises:
            UserLinesError: the line is wrong.
        """
        name, *rest = words
        if name in self.rules:
            raise _wrong(name, DUPLICATE)
        try:
            rules = merge_selectors(rest)
        except UnmatchedError as error:
            raise _wrong(rest[error.at], SYNTAX) from None
        probe = users.new(name)
        for rule in rules:
            try:
                probe.apply(rule)
            except RuleError as error:
                if not error.is_unknown:
                    raise _wrong(rule, str(error)) from None
        self.rules[name] = rules

    def apply(self, users: Users) -> list[User]:
        """Make the users.

        Returns:
            Those that are off, which may be an oversight.

        Raises:
            UserLinesError: a name or rule is refused.
        """
        disabled: list[User] = []
        for name, rules in self.rules.items():
            if has_blanks(name):
                raise UserLinesError("Spaces not allowed in ACL usernames")
            user = users.find(name) or users.new(name)
            if name == DEFAULT:
                user.apply(b"reset")
            else:
                users.add(user)
            for rule in rules:
                try:
                    user.apply(rule)
                except RuleError as error:
                    raise UserLinesError(
                        f"Error loading ACL rule '{_shown(rule)}' for the user named '{_shown(name)}': {error}"
                    ) from None
            if not user.enabled:
                disabled.append(user)
        return disabled


def _wrong(word: bytes, reason: str) -> UserLinesError:
    return UserLinesError(f"Error in user declaration '{_shown(word)}': {reason}")


def _shown(word: bytes) -> str:
    """A word of a line as it may be shown: a password is not."""
    text = word.decode("utf-8", "backslashreplace")
    return text[0] + "***" if text[:1] in (">", "<") else text


def users_of_file(users: Users, text: bytes, path: str) -> list[User]:
    """The users of an ACL file's text (`ACLLoadFromFile`).

    Parameters:
        users: makes them; nobody is changed.
        text: the whole file.
        path: as errors name it.

    Raises:
        UserLinesError: one line that tells all that is wrong.
    """
    found: dict[bytes, User] = {}
    errors: list[str] = []
    for number, raw in enumerate(text.split(b"\n"), 1):
        line = raw.strip(b" \t\r\n")
        if not line:
            continue
        words = line.split(b" ")
        if words[0] != b"user" or len(words) < 2:
            errors.append(f"{path}:{number} should start with user keyword followed by the username. ")
        elif has_blanks(words[1]):
            errors.append(f"'{path}:{number}: username '{_shown(words[1])}' contains invalid characters. ")
        elif words[1] in found:
            errors.append(f"WARNING: Duplicate user '{_shown(words[1])}' found on line {number}. ")
        else:
            user = found[words[1]] = users.new(words[1])
            errors += _apply_words(user, words[2:], f"{path}:{number}: ")
    if errors:
        raise UserLinesError(
            "".join(errors) + "WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
        )
    return list(found.values())


def _apply_words(user: User, words: Sequence[bytes], place: str) -> Iterable[str]:
    """Apply a line's rules; what is wrong with them: every unknown command, and the first thing else."""
    try:
        rules = merge_selectors(words)
    except UnmatchedError:
        return [f"{place}Unmatched parenthesis in selector definition."]
    errors: list[str] = []
    told = False
    for word in rules:
        rule = word.strip(b"\t\r\n")
        try:
            user.apply(rule)
        except RuleError as error:
            if error.is_unknown:
                errors.append(f"{place}Error in applying operation '{_shown(rule)}': {error}. ")
            elif not told:
                errors.append(f"{place}{error}. ")
                told = True
    return errors


def file_text(users: Users) -> bytes:
    """The ACL file that makes these users."""
    return b"".join(b"user %b %b\n" % (user.name, user.shown()) for user in users.all())
