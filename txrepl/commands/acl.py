"""ACL: the users, and what was denied to them."""

from __future__ import annotations

import os
from typing import Final

from txrepl.commands.access.checks import check
from txrepl.commands.access.loading import UserLinesError, file_text, users_of_file
from txrepl.commands.access.rules import DEFAULT, RuleError, UnmatchedError, c_string, has_blanks, merge_selectors
from txrepl.commands.access.selectors import Selector, matches_channel
from txrepl.commands.access.users import User
from txrepl.commands.arguments import integer
from txrepl.commands.categories import CATEGORIES, categories
from txrepl.commands.help import help_reply
from txrepl.commands.session import Server, Session
from txrepl.commands.table import Family
from txrepl.config import overwrite_file
from txrepl.config.quoting import quote_word, split_words, to_text
from txrepl.errors import CommandError
from txrepl.resp.replies import OK, Reply, SetReply

family = Family("server")
family.container("acl", since="6.0.0", summary="The users, and what each of them may do.")

_ADMIN: Final = "admin noscript loading stale"
_ANYONE: Final = "noscript loading stale"
_ALL_NODES: Final = ("request_policy:all_nodes", "response_policy:all_succeeded")
_OF_USERS: Final = "O(N). Where N is the number of configured users."
_PASSWORD_BITS: Final = 256
_PASSWORD_BITS_MAX: Final = 4096
_SHOWN_ENTRIES: Final = 10
_CATEGORY_SHOWN_MAX: Final = 128


def _behind_name(argv: list[bytes]) -> range:
    """Positions of users and their rules, of which no log tells."""
    return range(2, len(argv))


# -- users ------------------------------------------------------------------------------------------------------


@family.command(
    "acl setuser",
    -3,
    _ADMIN,
    since="6.0.0",
    summary="Makes or changes a user.",
    complexity="O(N). Where N is the number of rules provided.",
    tips=_ALL_NODES,
    secrets=_behind_name,
)
def acl_setuser(s: Session, argv: list[bytes]) -> Reply:
    """ACL SETUSER username [rule …]: all of the rules, or none."""
    name = argv[2]
    if has_blanks(name):
        raise CommandError("ERR Usernames can't contain spaces or null characters")
    users = s.server.users
    try:
        staged = users.staged(name, merge_selectors(argv[3:]))
    except UnmatchedError as error:
        word = c_string(argv[3 + error.at])
        raise CommandError(b"ERR Unmatched parenthesis in acl selector starting at '%b'." % word) from None
    except RuleError as error:
        rule = c_string(error.rule)
        raise CommandError(b"ERR Error in ACL SETUSER modifier '%b': %b" % (rule, str(error).encode())) from None
    user = users.find(name)
    if user is None:
        users.add(staged)
        return OK
    end_lost_subscriptions(s, user, staged)
    user.become(staged)
    follow_user(s.server, user)
    return OK


@family.command(
    "acl deluser",
    -3,
    _ADMIN,
    since="6.0.0",
    summary="Deletes users and closes their connections.",
    complexity="O(1) amortized time considering the typical user.",
    tips=_ALL_NODES,
    secrets=_behind_name,
)
def acl_deluser(s: Session, argv: list[bytes]) -> Reply:
    """ACL DELUSER username …: how many there were."""
    names = argv[2:]
    if any(c_string(name) == DEFAULT for name in names):
        raise CommandError("ERR The 'default' user cannot be removed")
    removed = [user for user in map(s.server.users.remove, names) if user is not None]
    for user in removed:
        end_connections(s, user)
    return len(removed)


@family.command(
    "acl getuser",
    3,
    _ADMIN,
    since="6.0.0",
    summary="Tells the rules of a user.",
    complexity="O(N). Where N is the number of password, command and pattern rules that the user has.",
    secrets=_behind_name,
)
def acl_getuser(s: Session, argv: list[bytes]) -> Reply:
    """ACL GETUSER username."""
    user = s.server.users.find(argv[2])
    if user is None:
        return None
    root, *others = user.selectors
    return {
        b"flags": SetReply(user.flags()),
        b"passwords": list(user.passwords),
        **_rights(root),
        b"selectors": [_rights(selector) for selector in others],
    }


def _rights(selector: Selector) -> dict[Reply, Reply]:
    return {
        b"commands": selector.shown_commands(),
        b"keys": selector.shown_keys(),
        b"channels": selector.shown_channels(),
    }


@family.command("acl list", 2, _ADMIN, since="6.0.0", summary="Tells the rules of all users.", complexity=_OF_USERS)
def acl_list(s: Session, argv: list[bytes]) -> Reply:
    """ACL LIST."""
    return [b"user %b %b" % (user.name, user.shown()) for user in s.server.users.all()]


def user_lines(server: Server) -> list[str]:
    """What follows `user` on the lines that CONFIG REWRITE writes; none where there is an ACL file for it."""
    if server.config.get_str("aclfile"):
        return []
    return [_config_line(user) for user in server.users.all()]


def _config_line(user: User) -> str:
    """What follows `user` in a configuration file, words in quotes where they must be."""
    words = (user.name, *user.shown().split(b" "))
    return " ".join(to_text(word) if split_words(word) == [word] else quote_word(word) for word in words)


@family.command("acl users", 2, _ADMIN, since="6.0.0", summary="Names all users.", complexity=_OF_USERS)
def acl_users(s: Session, argv: list[bytes]) -> Reply:
    """ACL USERS."""
    return [user.name for user in s.server.users.all()]


@family.command("acl whoami", 2, _ANYONE, since="6.0.0", summary="Names the user of the connection.")
def acl_whoami(s: Session, argv: list[bytes]) -> Reply:
    """ACL WHOAMI."""
    return s.user.name if s.user is not None else None


# -- the connections of a user ----------------------------------------------------------------------------------


def follow_user(server: Server, user: User) -> None:
    """A user has other rights as of now: tell its connections."""
    for client in server.sessions.values():
        if client.user is user:
            client.take_rights()


def end_connections(s: Session, user: User) -> None:
    """Close the connections of a user who is no more (`ACLFreeUserAndKillClients`)."""
    server = s.server
    for client in list(server.sessions.values()):
        if client.user is user:
            client.log_out(server.users.default)
            server.disconnect(client, flush=client is s)


def end_lost_subscriptions(s: Session, user: User, staged: User) -> None:
    """Close the user's connections that listen to what they may not any more (`ACLKillPubsubClientsIfNeeded`).

    Parameters:
        s: who changes the user.
        user: as it is.
        staged: as it will be.
    """
    if any(selector.all_channels for selector in staged.selectors):
        return
    allowed: dict[bytes, None] = {}
    for selector in staged.selectors:
        allowed |= selector.channels
    if not any(selector.all_channels or selector.channels.keys() - allowed for selector in user.selectors):
        return
    for client in list(s.server.sessions.values()):
        if client.user is user and _listens_elsewhere(client, allowed):
            s.server.disconnect(client, flush=client is s)


def _listens_elsewhere(client: Session, allowed: dict[bytes, None]) -> bool:
    channels = (*(client.channels or ()), *(client.shard_channels or ()))
    return any(not matches_channel(allowed, pattern, is_pattern=True) for pattern in client.patterns or ()) or any(
        not matches_channel(allowed, channel, is_pattern=False) for channel in channels
    )


# -- the ACL file -----------------------------------------------------------------------------------------------


def acl_file_path(server: Server) -> str:
    """Where the ACL file is, relative names under the working directory; empty if there is none."""
    path = server.config.get_str("aclfile")
    return os.path.join(server.config.get_str("dir"), path) if path else ""


def _wanted_file(server: Server) -> str:
    path = acl_file_path(server)
    if not path:
        raise CommandError(
            "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the "
            "ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) "
            "in order to store users in the Redis configuration."
        )
    return path


def read_acl_file(server: Server) -> list[User]:
    """Take the users of the ACL file instead of those that there are.

    Returns:
        Those who are no more.

    Raises:
        UserLinesError: it cannot be read, or something is wrong in it; nothing has changed.
    """
    shown = server.config.get_str("aclfile")
    try:
        with open(acl_file_path(server), "rb") as file:
            text = file.read()
    except OSError as error:
        raise UserLinesError(f"Error loading ACLs, opening file '{shown}': {error.strerror}") from None
    return server.users.replace_all(users_of_file(server.users, text, shown))


@family.command("acl load", 2, _ADMIN, since="6.0.0", summary="Takes the users of the ACL file.", complexity=_OF_USERS)
def acl_load(s: Session, argv: list[bytes]) -> Reply:
    """ACL LOAD."""
    _wanted_file(s.server)
    try:
        gone = read_acl_file(s.server)
    except UserLinesError as error:
        raise CommandError(f"ERR {error}") from None
    for user in gone:
        end_connections(s, user)
    follow_user(s.server, s.server.users.default)
    return OK


@family.command(
    "acl save",
    2,
    _ADMIN,
    since="6.0.0",
    summary="Writes the users into the ACL file.",
    complexity=_OF_USERS,
    tips=_ALL_NODES,
)
def acl_save(s: Session, argv: list[bytes]) -> Reply:
    """ACL SAVE."""
    path = _wanted_file(s.server)
    try:
        overwrite_file(path, to_text(file_text(s.server.users)))
    except OSError as error:
        s.server.log("warning", f"Writing ACL file for ACL SAVE: {error.strerror}")
        raise CommandError(
            "ERR There was an error trying to save the ACLs. Please check the server logs for more information"
        ) from None
    return OK


# -- what there is to allow -------------------------------------------------------------------------------------


@family.command(
    "acl cat",
    -2,
    _ANYONE,
    since="6.0.0",
    summary="Names the categories, or the commands of one.",
    complexity="O(1) since the categories and commands are a fixed set.",
)
def acl_cat(s: Session, argv: list[bytes]) -> Reply:
    """ACL CAT [category]."""
    if len(argv) == 2:
        return [name.encode() for name in CATEGORIES]
    if len(argv) > 3:
        raise wrong_form(argv)
    wanted = c_string(argv[2])
    name = wanted.lower().decode("latin-1")
    if name not in CATEGORIES:
        raise CommandError(b"ERR Unknown category '%b'" % wanted[:_CATEGORY_SHOWN_MAX])
    return [
        one.name.encode()
        for command in s.server.table.commands.values()
        for one in (command, *command.subcommands.values())
        if name in categories(one)
    ]


def wrong_form(argv: list[bytes]) -> CommandError:
    """The error for a subcommand with a wrong number of words (`addReplySubcommandSyntaxError`)."""
    sub = argv[1][:128].decode("utf-8", "surrogateescape")
    return CommandError(f"ERR unknown subcommand or wrong number of arguments for '{sub}'. Try ACL HELP.")


@family.command("acl genpass", -2, _ANYONE, since="6.0.0", summary="Makes up a password.")
def acl_genpass(s: Session, argv: list[bytes]) -> Reply:
    """ACL GENPASS [bits]: hexadecimal digits for at least so many bits."""
    if len(argv) > 3:
        raise wrong_form(argv)
    bits = integer(argv[2]) if len(argv) == 3 else _PASSWORD_BITS
    if not 0 < bits <= _PASSWORD_BITS_MAX:
        raise CommandError(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to "
            f"{_PASSWORD_BITS_MAX}"
        )
    digits = ""
    while len(digits) * 4 < bits:
        digits += s.server.random_id()
    return digits[: (bits + 3) // 4].encode()


@family.command(
    "acl dryrun",
    -4,
    _ADMIN,
    since="7.0.0",
    summary="Tells whether a user may run a command, without running it.",
    complexity="O(1).",
)
def acl_dryrun(s: Session, argv: list[bytes]) -> Reply:
    """ACL DRYRUN username command [arg …]."""
    user = s.server.users.find(argv[2])
    if user is None:
        raise CommandError(b"ERR User '%b' not found" % c_string(argv[2]))
    words = argv[3:]
    command = s.server.table.resolve(words)
    if command is None:
        raise CommandError(b"ERR Command '%b' not found" % c_string(words[0]))
    if not command.accepts(len(words)):
        raise CommandError(f"ERR wrong number of arguments for '{command.name}' command")
    denial = check(user, command, words)
    return OK if denial is None else denial.text(verbose=True)


# -- what was denied --------------------------------------------------------------------------------------------


@family.command(
    "acl log",
    -2,
    _ADMIN,
    since="6.0.0",
    summary="Tells what was denied of late.",
    complexity="O(N) with N being the number of entries shown.",
)
def acl_log(s: Session, argv: list[bytes]) -> Reply:
    """ACL LOG [count | RESET]."""
    if len(argv) > 3:
        raise wrong_form(argv)
    denials = s.server.denials
    if len(argv) == 3 and c_string(argv[2]).lower() == b"reset":
        denials.clear()
        return OK
    count = integer(argv[2]) if len(argv) == 3 else _SHOWN_ENTRIES
    now_ms = s.keyspace.now_ms
    return [
        {
            b"count": entry.count,
            b"reason": entry.reason.name.lower().encode(),
            b"context": entry.context.encode(),
            b"object": entry.subject,
            b"username": entry.username,
            b"age-seconds": (now_ms - entry.updated_ms) / 1000,
            b"client-info": entry.client,
            b"entry-id": entry.number,
            b"timestamp-created": entry.created_ms,
            b"timestamp-last-updated": entry.updated_ms,
        }
        for entry in denials.newest(max(0, count))
    ]


@family.command("acl help", 2, "loading stale", since="6.0.0", summary="Lists the subcommands.")
def acl_help(s: Session, argv: list[bytes]) -> Reply:
    """ACL HELP."""
    return help_reply(
        "ACL",
        ("CAT [<category>]", "Name the categories, or the commands of one."),
        ("DELUSER <username> [<username> ...]", "Delete users and close their connections."),
        ("DRYRUN <username> <command> [<arg> ...]", "Tell whether a user may run a command, without running it."),
        ("GETUSER <username>", "Tell the rules of a user."),
        ("GENPASS [<bits>]", "Make up a password, of 256 bits unless told otherwise."),
        ("LIST", "Tell the rules of all users, as they stand in an ACL file."),
        ("LOAD", "Take the users of the ACL file instead of those that there are."),
        ("LOG [<count> | RESET]", "Tell what was denied of late, or forget it."),
        ("SAVE", "Write the users into the ACL file."),
        ("SETUSER <username> <attribute> [<attribute> ...]", "Make or change a user."),
        ("USERS", "Name all users."),
        ("WHOAMI", "Name the user of the connection."),
    )
