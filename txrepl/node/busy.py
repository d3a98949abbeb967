"""A script that takes too long: others are told so, and served in between (`enterScriptTimedoutMode`).

What it has done so far is kept apart meanwhile: its effects are not yet whole, nobody who waits for a key is served by
half of a script, and its time stands still.
"""

from __future__ import annotations

from txrepl.keyspace.database import Expiry
from txrepl.node.core import Core


class Busy:
    """What happens while a script is busy."""

    def __init__(self, core: Core) -> None:
        self._core = core
        engine = core.scripting
        engine.busy_began = engine.busy_ended = core.dispatcher.refresh_gate
        engine.while_busy = self._serve_others

    def _serve_others(self) -> bool:
        """Let the shell serve others for a moment; whether the script may go on."""
        keyspace = self._core.keyspace
        effects, verbatim, ready = keyspace.effects, keyspace.verbatim, keyspace.ready
        now_ms, expiry = keyspace.now_ms, keyspace.expiry
        keyspace.effects, keyspace.ready, keyspace.expiry = [], {}, int(Expiry.IGNORE)
        try:
            goes_on = self._core.host.serve_others()
        finally:
            keyspace.effects, keyspace.verbatim, keyspace.ready = effects, verbatim, ready
            keyspace.now_ms, keyspace.expiry = now_ms, expiry
        if not goes_on:
            self._core.propagation.muted = True  # half of what it did is for nobody
        return goes_on
