"""A replica that applies its primary's stream later, or not beyond an offset: `replica-delay` and its stop.

Bytes that come are applied at once, or wait in `Delay` and are applied when they are due, a slice of time after the
other. A link that is lost meanwhile loses nothing of them; promoted, the node drops them.
"""

from __future__ import annotations

from txrepl.commands.session import Timer
from txrepl.commands.transactions import discard_transaction
from txrepl.errors import ReplicationError
from txrepl.node.core import Core
from txrepl.node.following import Following
from txrepl.replication.delay import SLICE_MS
from txrepl.replication.events import EventKind
from txrepl.replication.guard import Cause


class Delaying:
    """When the stream's bytes are applied."""

    def __init__(self, core: Core, following: Following) -> None:
        self._core = core
        self._following = following
        self._delay = core.delay
        self._timer: Timer | None = None
        self._was_full = False
        self._was_held = False

    # -- bytes that come ----------------------------------------------------------------------------------------

    def receive_stream(self, data: bytes) -> None:
        """Bytes of the primary's stream.

        Raises:
            ReplicationError: they are no stream of commands.
        """
        stream = self._following.stream
        if stream is None:
            raise ReplicationError("Bytes from the primary after the stream ended")
        if self._delay.is_active:
            self._hold(data)
        else:
            self._following.apply_stream(stream, data)

    def _hold(self, data: bytes) -> None:
        delay = self._delay
        delay.receive(data, self._core.now())
        if b"GETACK" in data:
            self._core.host.acknowledge(delay.received_offset)
        if delay.is_full and not self._was_full:
            self._was_full = True
            self._core.events.note(
                EventKind.DELAY_FULL,
                "the primary is read no further until there is room",
                pending_bytes=delay.pending_bytes,
                max_bytes=delay.max_bytes,
            )
            self._core.log(
                "warning",
                f"{delay.pending_bytes} bytes wait to be applied (replica-delay-max-bytes is {delay.max_bytes}): "
                "the primary is read no further until there is room, and may give up on this replica",
            )

    # -- delay and stop as they are set -------------------------------------------------------------------------

    def hold_before(self, offset: int) -> None:
        """`replica-delay-stop-before`: apply what ends before an offset, then nothing; 0 lifts the stop."""
        core = self._core
        core.config.assign("replica-delay-stop-before", offset)
        self._delay.set_stop(offset)
        applied = core.feed.history.offset
        if core.link.host and 0 < offset <= applied:
            core.log(
                "warning",
                f"replica-delay-stop-before {offset}: offset {applied} is applied already; holding there",
            )
        self.follow_delay()

    def follow_delay(self) -> None:
        """Delay or stop were changed: go by them from now on, for what has come already too."""
        core, delay = self._core, self._delay
        stream, session = self._following.stream, self._following.session
        if delay.is_active and stream is not None and session is not None and stream.unapplied_bytes:
            discard_transaction(session)
            delay.receive(stream.withdraw(), core.now())
        stop = core.guard.stop
        if stop is not None and stop.cause is Cause.DELAY_STOP and not delay.stop_before:
            core.settle_guard("the stop before an offset is lifted")
            self._following.connect()
        if delay.pending_bytes:
            self._apply_soon()
        self._note_stop()

    def forget_stop(self) -> None:
        """The stop was an offset of a history that is ours no more."""
        if self._delay.stop_before:
            self._core.config.assign("replica-delay-stop-before", 0)
            self._delay.set_stop(0)
            self._note_stop()

    def drop_pending(self) -> None:
        """What waits will not be applied: this node's history ends at what is."""
        delay = self._delay
        if delay.pending_bytes:
            self._core.log("notice", f"{delay.pending_bytes} bytes that were received and not applied are dropped")
        delay.clear()
        self.forget_stop()

    def _note_stop(self) -> None:
        """Tell when a stop before an offset is reached, and when it is no more."""
        core = self._core
        is_held = self._delay.is_held and bool(core.link.host)
        if is_held == self._was_held:
            return
        self._was_held = is_held
        applied = core.feed.history.offset
        if is_held:
            before = self._delay.stop_before
            text = f"held before offset {before}: nothing is applied until somebody decides"
            core.events.note(EventKind.DELAY_HELD, text, stop_before=before, applied_offset=applied)
        else:
            core.events.note(EventKind.DELAY_RESUMED, "the stop before an offset is lifted", applied_offset=applied)

    # -- bytes that are due -------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Called ten times a second: apply what is due, unless that is about to happen."""
        if self._delay.is_active and self._timer is None:
            self.apply_due()

    def apply_due(self) -> None:
        """Apply what a delayed replica has held long enough, for a slice of time, and go on soon if there is more."""
        self._timer = None
        core, delay = self._core, self._delay
        if core.link.transfer is not None:
            return
        until_ms = core.now() + SLICE_MS
        while self._following.stream is not None:
            data = delay.take(core.now())
            if data is None:
                self._end()
                break
            if data and not self._apply(data):
                break
            if core.now() >= until_ms:
                self._apply_soon()
                break
        if self._was_full and delay.pending_bytes <= delay.max_bytes // 2:
            self._was_full = False
        self._note_stop()

    def _apply_soon(self) -> None:
        if self._timer is None:
            self._timer = self._core.later(0, self.apply_due)

    def _apply(self, data: bytes) -> bool:
        """Apply bytes; False if the stream has ended with them."""
        core, following = self._core, self._following
        stream = following.stream
        assert stream is not None
        try:
            following.apply_stream(stream, data)
        except ReplicationError as error:
            core.log("warning", str(error))
            following.discard_history()
            self._delay.clear()
            following.end_stream()
            if core.link.is_up:
                core.host.cut_primary()
            return False
        return following.stream is stream

    def _end(self) -> None:
        """Nothing more is due: if nothing is delayed any more either, the beginning of a command goes to the stream."""
        rest = self._delay.remainder()
        if rest is None:
            return
        if not self._core.link.is_up:
            self._following.end_stream()
        elif rest:
            self._apply(rest)
