"""Who listens to what, and the delivery of messages.

The registry knows channels, patterns and shard channels, each with its subscribers in order of subscription,
and every subscriber knows its own. A message is encoded once for each protocol and written to each listener's
outlet. Nothing here replies to a command or propagates: that is the commands' business.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from txrepl.keyspace.database import Event
from txrepl.keyspace.glob import compile_glob
from txrepl.resp.replies import Push, encode


class Listener(Protocol):
    """Where messages go."""

    def write(self, data: bytes) -> None:
        """Send bytes outside of any reply."""


class Subscriber(Protocol):
    """What the registry needs of a session; None stands for no subscription of that kind."""

    proto: int
    channels: set[bytes] | None
    patterns: set[bytes] | None
    shard_channels: set[bytes] | None

    @property
    def outlet(self) -> Listener:
        """Where messages go."""

    def __hash__(self) -> int: ...


Subscribers = dict[Subscriber, None]
"""A set that keeps its order."""


class Message:
    """A message that is encoded when the first listener of a protocol needs it.

    Parameters:
        words: kind, channel or pattern, …, payload.
    """

    __slots__ = ("_encoded", "_words")

    def __init__(self, *words: bytes) -> None:
        self._words = words
        self._encoded: dict[int, bytes] = {}

    def deliver(self, subscribers: Iterable[Subscriber]) -> int:
        """Write the message to each; returns how many there were."""
        count = 0
        encoded = self._encoded
        for subscriber in tuple(subscribers):  # writing may end a subscriber's connection
            data = encoded.get(subscriber.proto)
            if data is None:
                data = encoded[subscriber.proto] = encode(Push(self._words), subscriber.proto)
            subscriber.outlet.write(data)
            count += 1
        return count


class PubSub:
    """The server's subscriptions.

    Attributes:
        channels: channel → subscribers.
        patterns: glob pattern → subscribers.
        shard_channels: shard channel → subscribers.
    """

    __slots__ = ("channels", "patterns", "shard_channels")

    def __init__(self) -> None:
        self.channels: dict[bytes, Subscribers] = {}
        self.patterns: dict[bytes, Subscribers] = {}
        self.shard_channels: dict[bytes, Subscribers] = {}

    # -- subscribing --------------------------------------------------------------------------------------------

    def subscribe(self, subscriber: Subscriber, channel: bytes) -> None:
        """Listen to a channel; harmless when it does already."""
        if subscriber.channels is None:
            subscriber.channels = set()
        _join(self.channels, subscriber.channels, subscriber, channel)

    def subscribe_pattern(self, subscriber: Subscriber, pattern: bytes) -> None:
        """Listen to all channels that match a glob."""
        if subscriber.patterns is None:
            subscriber.patterns = set()
        _join(self.patterns, subscriber.patterns, subscriber, pattern)

    def subscribe_shard(self, subscriber: Subscriber, channel: bytes) -> None:
        """Listen to a shard channel."""
        if subscriber.shard_channels is None:
            subscriber.shard_channels = set()
        _join(self.shard_channels, subscriber.shard_channels, subscriber, channel)

    def unsubscribe(self, subscriber: Subscriber, channel: bytes) -> None:
        """Listen to the channel no more; harmless when it does not."""
        _leave(self.channels, subscriber.channels, subscriber, channel)

    def unsubscribe_pattern(self, subscriber: Subscriber, pattern: bytes) -> None:
        """Listen to the pattern no more."""
        _leave(self.patterns, subscriber.patterns, subscriber, pattern)

    def unsubscribe_shard(self, subscriber: Subscriber, channel: bytes) -> None:
        """Listen to the shard channel no more."""
        _leave(self.shard_channels, subscriber.shard_channels, subscriber, channel)

    def forget(self, subscriber: Subscriber) -> None:
        """End all of a subscriber's subscriptions without a word (it disconnected, or said RESET)."""
        for registered, own in (
            (self.channels, subscriber.channels),
            (self.patterns, subscriber.patterns),
            (self.shard_channels, subscriber.shard_channels),
        ):
            for name in own or ():
                _drop(registered, subscriber, name)
        subscriber.channels = subscriber.patterns = subscriber.shard_channels = None

    # -- publishing ---------------------------------------------------------------------------------------------

    def publish(self, channel: bytes, payload: bytes) -> int:
        """Deliver to the channel's listeners, then to those of every matching pattern; returns how many."""
        receivers = 0
        listening = self.channels.get(channel)
        if listening:
            receivers += Message(b"message", channel, payload).deliver(listening)
        if self.patterns:
            for pattern, subscribers in tuple(self.patterns.items()):
                if compile_glob(pattern)(channel):
                    receivers += Message(b"pmessage", pattern, channel, payload).deliver(subscribers)
        return receivers

    def publish_shard(self, channel: bytes, payload: bytes) -> int:
        """Deliver to a shard channel's listeners; returns how many."""
        listening = self.shard_channels.get(channel)
        return Message(b"smessage", channel, payload).deliver(listening) if listening else 0


def _join(registered: dict[bytes, Subscribers], own: set[bytes], subscriber: Subscriber, name: bytes) -> None:
    if name not in own:
        own.add(name)
        registered.setdefault(name, {})[subscriber] = None


def _leave(registered: dict[bytes, Subscribers], own: set[bytes] | None, subscriber: Subscriber, name: bytes) -> None:
    if own and name in own:
        own.remove(name)
        _drop(registered, subscriber, name)


def _drop(registered: dict[bytes, Subscribers], subscriber: Subscriber, name: bytes) -> None:
    subscribers = registered[name]
    del subscribers[subscriber]
    if not subscribers:
        del registered[name]


# -- keyspace notifications -------------------------------------------------------------------------------------

_KEYSPACE: Final = int(Event.KEYSPACE)
_KEYEVENT: Final = int(Event.KEYEVENT)


def publish_keyspace_event(  # noqa: PLR0917
    registry: PubSub, flags: int, event_class: int, event: bytes, key: bytes, db: int
) -> None:
    """Publish a change of a key as `notifyKeyspaceEvent` does; these messages do not propagate.

    Parameters:
        registry: where listeners are.
        flags: `notify-keyspace-events` as `Event` bits.
        event_class: the event's `Event` class.
        event: its name (`set`, `expired`, …).
        key: the key.
        db: the database's index.
    """
    if not flags & event_class:
        return
    if flags & _KEYSPACE:
        registry.publish(b"__keyspace@%d__:%b" % (db, key), event)
    if flags & _KEYEVENT:
        registry.publish(b"__keyevent@%d__:%b" % (db, event), key)
