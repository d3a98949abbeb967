"""Primary or replica, and whose: roles change here and nowhere else.

By command or over HTTP it is `replicate_from` and `promote`; by a failover `hand_over` and `take_back`.
"""

from __future__ import annotations

from typing import Final

from txrepl.errors import CommandError
from txrepl.node.core import Core
from txrepl.node.delaying import Delaying
from txrepl.node.following import Following
from txrepl.node.full_sync import FullSync
from txrepl.node.pauses import Pauses
from txrepl.replication.events import EventKind
from txrepl.replication.states import LinkState

UNBLOCKED: Final = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"


class Roles:
    """The changes of a node's role; a failover's `Roles`."""

    def __init__(
        self, core: Core, following: Following, delaying: Delaying, full_sync: FullSync, pauses: Pauses
    ) -> None:
        self._core = core
        self._following = following
        self._delaying = delaying
        self._full_sync = full_sync
        self._pauses = pauses
        self._link = core.link
        self._feed = core.feed

    def replicate_from(self, host: str, port: int, who: str) -> bool:
        """Become a replica of host:port; False if that is our primary already (`replicationSetMaster`)."""
        core, link = self._core, self._link
        if (link.host.lower(), link.port) == (host.lower(), port):
            if core.guard.stop is not None:
                self._full_sync.accept_primary(who)
                return True
            core.log(
                "notice",
                "REPLICAOF would result into synchronization with the master we are already connected with. "
                "No operation performed.",
            )
            return False
        self._turn_to(host, port)
        self._following.connect()
        core.log("notice", f"REPLICAOF {host}:{port} enabled (user request from '{who}')")
        return True

    def promote(self, who: str, *, asked: str = "user request") -> bool:
        """Become a primary; False if we are one. `asked` says for the log what `who` asked for."""
        if not self._link.host:
            return False
        self._leave_primary()
        self._core.log("notice", f"MASTER MODE enabled ({asked} from '{who}')")
        return True

    # -- a failover's -------------------------------------------------------------------------------------------

    def hold_writes(self) -> None:
        """A failover has begun or ended."""
        self._pauses.hold_writes()

    def hand_over(self, host: str, port: int) -> None:
        """A failover's target has everything, or is to go on as it is: follow it, and ask it to be the primary."""
        self._turn_to(host, port)
        self._following.connect()

    def take_back(self) -> None:
        """A failover's target did not take over: be a primary again."""
        self._leave_primary()

    # -- what a change of role does -----------------------------------------------------------------------------

    def _turn_to(self, host: str, port: int) -> None:
        """Follow another primary, without connecting to it yet."""
        core, link = self._core, self._link
        was_primary = not link.host
        core.propagation.flush()  # what a transaction has written before the REPLICAOF in it
        core.settle_guard("another primary is followed")
        self._following.drop_link()
        core.dispatcher.disconnect_blocked(CommandError(UNBLOCKED))
        link.host = host
        link.port = port
        if was_primary:
            core.log(
                "notice",
                "Before turning into a replica, using my own master parameters to synthesize a cached master: "
                "I may be able to synchronize with the new master with just a partial transfer.",
            )
            self._feed.flush()
            link.resumable = True
            link.stream_db = -1
            self._delaying.forget_stop()  # an offset of our own history
        link.state = LinkState.CONNECT
        link.down_since_ms = 0
        link.current_ms = 0
        link.failures = 0
        link.last_error = ""
        core.refresh_gate()
        core.primary.drop_all()
        self._remember()
        core.events.note(EventKind.ROLE_CHANGED, f"a replica of {host}:{port}", role="replica", host=host, port=port)

    def _leave_primary(self) -> None:
        """Follow nobody, with a history of our own from here on (`replicationUnsetMaster`)."""
        core, link = self._core, self._link
        core.settle_guard("this node becomes a primary")
        self._delaying.drop_pending()
        self._following.drop_link()
        link.host = ""
        link.port = 0
        link.state = LinkState.NONE
        if link.resumable:
            core.log("notice", "Discarding previously cached master state.")
        link.resumable = False
        link.down_since_ms = 0
        core.primary.drop_all()
        history = self._feed.history
        self._feed.flush()
        history.shift()
        self._feed.selected_db = -1
        core.log(
            "notice",
            f"Setting secondary replication ID to {history.replid2}, valid up to offset: {history.second_offset}. "
            f"New replication ID is {history.replid}",
        )
        core.primary.left_alone()
        core.refresh_gate()
        self._remember()
        core.events.note(EventKind.ROLE_CHANGED, "a primary", role="primary", replid=history.replid)

    def _remember(self) -> None:
        """Keep the role where CONFIG REWRITE finds it."""
        link = self._link
        self._core.config.assign("replicaof", (link.host, link.port) if link.host else None)
