"""Publish and subscribe: the commands over `subscriptions.PubSub`.

A subscribing command answers with one message for each name, not with one reply for all. PUBLISH and
SPUBLISH change no key, yet always go into the stream: a replica's listeners hear what is published here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from txrepl.commands.session import SUBSCRIBED, Session
from txrepl.commands.subscriptions import Subscribers
from txrepl.commands.table import Family, key_at, keys_from
from txrepl.errors import CommandError
from txrepl.keyspace.glob import compile_glob
from txrepl.resp.replies import Many, Push, Reply

family = Family("pubsub")

_SUBSCRIBING: Final = "pubsub noscript loading stale"
_ASKING: Final = "pubsub loading stale"


# -- subscribing ------------------------------------------------------------------------------------------------


def _count(s: Session) -> int:
    """Channels and patterns together, as confirmations count them."""
    return len(s.channels or ()) + len(s.patterns or ())


def _shard_count(s: Session) -> int:
    return len(s.shard_channels or ())


def _each(
    s: Session,
    kind: bytes,
    names: list[bytes],
    change: Callable[[Session, bytes], None],
    count: Callable[[Session], int],
) -> Reply:
    """Apply a change for each name and answer a confirmation for each; no names at all answer one null."""
    replies: list[Reply] = []
    for name in names:
        change(s, name)
        replies.append(Push([kind, name, count(s)]))
    if not names:
        replies.append(Push([kind, None, count(s)]))
    if _count(s) + _shard_count(s):
        s.flags |= SUBSCRIBED
    else:
        s.flags &= ~SUBSCRIBED
    return Many(replies)


def end_subscriptions(s: Session) -> None:
    """End all of a session's subscriptions without a word (RESET, or the client is gone)."""
    s.server.pubsub.forget(s)
    s.flags &= ~SUBSCRIBED


@family.command(
    "subscribe",
    -2,
    _SUBSCRIBING,
    since="2.0.0",
    summary="Listens to channels.",
    complexity="O(N), N being the number of channels.",
)
def subscribe(s: Session, argv: list[bytes]) -> Reply:
    """SUBSCRIBE channel [channel …]."""
    return _each(s, b"subscribe", argv[1:], s.server.pubsub.subscribe, _count)


@family.command(
    "unsubscribe",
    -1,
    _SUBSCRIBING,
    since="2.0.0",
    summary="Listens to channels no more.",
    complexity="O(N), N being the number of channels.",
)
def unsubscribe(s: Session, argv: list[bytes]) -> Reply:
    """UNSUBSCRIBE [channel …]; without one, all."""
    names = argv[1:] or list(s.channels or ())
    return _each(s, b"unsubscribe", names, s.server.pubsub.unsubscribe, _count)


@family.command(
    "psubscribe",
    -2,
    _SUBSCRIBING,
    since="2.0.0",
    summary="Listens to all channels that match patterns.",
    complexity="O(N), N being the number of patterns.",
)
def psubscribe(s: Session, argv: list[bytes]) -> Reply:
    """PSUBSCRIBE pattern [pattern …]."""
    return _each(s, b"psubscribe", argv[1:], s.server.pubsub.subscribe_pattern, _count)


@family.command(
    "punsubscribe",
    -1,
    _SUBSCRIBING,
    since="2.0.0",
    summary="Listens to patterns no more.",
    complexity="O(N), N being the number of patterns.",
)
def punsubscribe(s: Session, argv: list[bytes]) -> Reply:
    """PUNSUBSCRIBE [pattern …]; without one, all."""
    names = argv[1:] or list(s.patterns or ())
    return _each(s, b"punsubscribe", names, s.server.pubsub.unsubscribe_pattern, _count)


@family.command(
    "ssubscribe",
    -2,
    _SUBSCRIBING,
    keys_from(1, "NOT_KEY"),
    since="7.0.0",
    summary="Listens to shard channels.",
    complexity="O(N), N being the number of shard channels.",
)
def ssubscribe(s: Session, argv: list[bytes]) -> Reply:
    """SSUBSCRIBE shardchannel [shardchannel …]."""
    return _each(s, b"ssubscribe", argv[1:], s.server.pubsub.subscribe_shard, _shard_count)


@family.command(
    "sunsubscribe",
    -1,
    _SUBSCRIBING,
    keys_from(1, "NOT_KEY"),
    since="7.0.0",
    summary="Listens to shard channels no more.",
    complexity="O(N), N being the number of shard channels.",
)
def sunsubscribe(s: Session, argv: list[bytes]) -> Reply:
    """SUNSUBSCRIBE [shardchannel …]; without one, all."""
    names = argv[1:] or list(s.shard_channels or ())
    return _each(s, b"sunsubscribe", names, s.server.pubsub.unsubscribe_shard, _shard_count)


# -- publishing -------------------------------------------------------------------------------------------------


@family.command(
    "publish",
    3,
    "pubsub loading stale fast may_replicate",
    since="2.0.0",
    summary="Sends a message to a channel's listeners.",
    complexity="O(N+M), N being the listeners of the channel and M all subscribed patterns.",
)
def publish(s: Session, argv: list[bytes]) -> Reply:
    """PUBLISH channel message: how many clients received it."""
    receivers = s.server.pubsub.publish(argv[1], argv[2])
    s.propagate(*argv)
    return receivers


@family.command(
    "spublish",
    3,
    "pubsub loading stale fast may_replicate",
    key_at(1, "NOT_KEY"),
    since="7.0.0",
    summary="Sends a message to a shard channel's listeners.",
    complexity="O(N), N being the listeners of the shard channel.",
)
def spublish(s: Session, argv: list[bytes]) -> Reply:
    """SPUBLISH shardchannel message: how many clients received it."""
    receivers = s.server.pubsub.publish_shard(argv[1], argv[2])
    s.propagate(*argv)
    return receivers


# -- asking -----------------------------------------------------------------------------------------------------

family.container("pubsub", since="2.8.0", summary="Tells about subscriptions.")

_HELP: Final = (
    "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CHANNELS [<pattern>]",
    "    Return the currently active channels matching a <pattern> (default: '*').",
    "NUMPAT",
    "    Return number of subscriptions to patterns.",
    "NUMSUB [<channel> ...]",
    "    Return the number of subscribers for the specified channels, excluding",
    "    pattern subscriptions(default: no channels).",
    "SHARDCHANNELS [<pattern>]",
    "    Return the currently active shard level channels matching a <pattern> (default: '*').",
    "SHARDNUMSUB [<shardchannel> ...]",
    "    Return the number of subscribers for the specified shard level channel(s)",
    "HELP",
    "    Prints this help.",
)


def _names(registered: dict[bytes, Subscribers], argv: list[bytes]) -> Reply:
    if len(argv) > 3:
        sub = argv[1].decode("utf-8", "surrogateescape")
        raise CommandError(f"ERR unknown subcommand or wrong number of arguments for '{sub}'. Try PUBSUB HELP.")
    if len(argv) == 2:
        return list(registered)
    matches = compile_glob(argv[2])
    return [name for name in registered if matches(name)]


def _counts(registered: dict[bytes, Subscribers], names: list[bytes]) -> Reply:
    reply: list[Reply] = []
    for name in names:
        reply += (name, len(registered.get(name, ())))
    return reply


@family.command(
    "pubsub channels",
    -2,
    _ASKING,
    since="2.8.0",
    summary="Lists the channels that have listeners.",
    complexity="O(N), N being the number of channels that have listeners.",
)
def pubsub_channels(s: Session, argv: list[bytes]) -> Reply:
    """PUBSUB CHANNELS [pattern]."""
    return _names(s.server.pubsub.channels, argv)


@family.command(
    "pubsub numsub",
    -2,
    _ASKING,
    since="2.8.0",
    summary="Counts the listeners of channels, pattern subscriptions aside.",
    complexity="O(N), N being the number of channels asked for.",
)
def pubsub_numsub(s: Session, argv: list[bytes]) -> Reply:
    """PUBSUB NUMSUB [channel …]: names and counts in one flat array."""
    return _counts(s.server.pubsub.channels, argv[2:])


@family.command(
    "pubsub numpat",
    2,
    _ASKING,
    since="2.8.0",
    summary="Counts the different patterns that clients are subscribed to.",
)
def pubsub_numpat(s: Session, argv: list[bytes]) -> Reply:
    """PUBSUB NUMPAT."""
    return len(s.server.pubsub.patterns)


@family.command(
    "pubsub shardchannels",
    -2,
    _ASKING,
    since="7.0.0",
    summary="Lists the shard channels that have listeners.",
    complexity="O(N), N being the number of shard channels that have listeners.",
)
def pubsub_shardchannels(s: Session, argv: list[bytes]) -> Reply:
    """PUBSUB SHARDCHANNELS [pattern]."""
    return _names(s.server.pubsub.shard_channels, argv)


@family.command(
    "pubsub shardnumsub",
    -2,
    _ASKING,
    since="7.0.0",
    summary="Counts the listeners of shard channels.",
    complexity="O(N), N being the number of shard channels asked for.",
)
def pubsub_shardnumsub(s: Session, argv: list[bytes]) -> Reply:
    """PUBSUB SHARDNUMSUB [shardchannel …]: names and counts in one flat array."""
    return _counts(s.server.pubsub.shard_channels, argv[2:])


@family.command(
    "pubsub help",
    2,
    "loading stale",
    since="6.2.0",
    summary="Explains the subcommands.",
)
def pubsub_help(s: Session, argv: list[bytes]) -> Reply:
    """PUBSUB HELP."""
    return list(_HELP)
