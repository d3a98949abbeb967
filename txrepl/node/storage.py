"""The dataset on disk: SAVE, BGSAVE, save points, what a file says of its history, and going on from that.

A node makes no file itself: `SaveHost` does, in the foreground or in a child, whose end it reports to `save_ended`.
"""

from __future__ import annotations

from txrepl.errors import CommandError
from txrepl.node.core import Core
from txrepl.node.following import Following
from txrepl.persistence.snapshot import Loader, origin_aux


class Storage:
    """What is saved when, and what is loaded."""

    def __init__(self, core: Core, following: Following) -> None:
        self._core = core
        self._following = following
        self._keyspace = core.keyspace
        self._saver = core.saver

    # -- saving -------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """SAVE, in the foreground.

        Raises:
            CommandError: it failed.
        """
        core, saver = self._core, self._saver
        if saver.started_ms is not None:
            raise CommandError("ERR Background save already in progress")
        try:
            core.host.snapshots.save_now()
        except OSError as error:
            core.log("warning", f"Error saving DB on disk: {error.strerror or error}")
            saver.last_ok = False
            core.refresh_gate()
            raise CommandError("ERR") from error
        saver.saved(core.now(), self._keyspace.dirty)
        core.log("notice", "DB saved on disk")
        core.refresh_gate()

    def background_save(self, *, schedule: bool) -> str:
        """BGSAVE; the reply.

        Raises:
            CommandError: it cannot be started.
        """
        core, saver = self._core, self._saver
        if saver.started_ms is not None:
            raise CommandError("ERR Background save already in progress")
        if core.host.snapshots.busy:
            if not schedule:
                raise CommandError(
                    "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order "
                    "to schedule a BGSAVE whenever possible."
                )
            saver.scheduled = True
            return "Background saving scheduled"
        saver.begun(core.now(), self._keyspace.dirty)
        try:
            core.host.snapshots.start_save()
        except OSError as error:
            core.log("warning", f"Can't save in background: fork: {error.strerror or error}")
            self.save_ended(False)
            raise CommandError("ERR") from error
        return "Background saving started"

    def save_ended(self, ok: bool) -> None:
        """A background save is over."""
        self._saver.ended(self._core.now(), ok)
        self._core.refresh_gate()

    def tick(self, now_ms: int) -> None:
        """Called ten times a second: begin a background save that a save point or BGSAVE SCHEDULE wants."""
        core, saver = self._core, self._saver
        if saver.started_ms is not None or core.host.snapshots.busy or core.loading is not None:
            return
        point = saver.due(now_ms, self._keyspace.dirty)
        if point is not None:
            core.log("notice", f"{point[1]} changes in {point[0]} seconds. Saving...")
        if point is not None or saver.scheduled:
            saver.scheduled = False
            try:
                self.background_save(schedule=False)
            except CommandError:
                saver.last_try_ms = now_ms

    def flushed_all(self) -> None:
        """FLUSHALL has run: stop a snapshot of what is gone, save the empty dataset (`flushAllDataAndResetRDB`)."""
        core, saver = self._core, self._saver
        snapshots = core.host.snapshots
        if snapshots.busy:
            saver.abandon()
            snapshots.kill()
        if saver.points:
            try:
                snapshots.save_now()
            except OSError as error:
                core.log("warning", f"Error saving DB on disk: {error.strerror or error}")
            else:
                saver.saved(core.now(), self._keyspace.dirty)
                core.log("notice", "DB saved on disk")

    # -- loading ------------------------------------------------------------------------------------------------

    def load_moved(self, read_bytes: int) -> None:
        """So many bytes of a file are loaded."""
        if self._core.loading is not None:
            self._core.loading.read_bytes = read_bytes

    def note_load(self, loader: Loader) -> None:
        """An RDB is loaded, from wherever it came: tell what was in it, and keep the counts for INFO."""
        core, log, saver = self._core, self._core.log, self._saver
        version = loader.fact(b"redis-ver") or loader.fact(b"valkey-ver")
        if version:
            log("notice", f"Loading RDB produced by version {version}")
        made_s, memory_bytes = loader.number(b"ctime"), loader.number(b"used-mem")
        if made_s is not None:
            log("notice", f"RDB age {max(0, core.now() // 1000 - made_s)} seconds")
        if memory_bytes is not None:
            log("notice", f"RDB memory usage when created {memory_bytes / 1024 / 1024:.2f} Mb")
        keys, expired = loader.keys_loaded, len(loader.expired)
        log("notice", f"Done loading RDB, keys loaded: {keys}, keys expired: {expired}.")
        saver.loaded_keys = loader.keys_loaded
        saver.loaded_expired = len(loader.expired)

    def reload(self, *, save: bool, flush: bool, merge: bool = True) -> None:
        """DEBUG RELOAD: save, then load what was saved.

        Parameters:
            save: save first; without it, an existing file is loaded.
            flush: drop what there is; without it, add the file's keys to it.
            merge: keys of the file replace keys of the same name, instead of being an error.

        Raises:
            CommandError: it failed; the dataset is as it was.
        """
        core, keyspace = self._core, self._keyspace
        try:
            if save:
                core.host.snapshots.save_now()
            loader = core.host.snapshots.load_now()
        except Exception as error:
            core.log("warning", f"DEBUG RELOAD failed: {error}")
            raise CommandError("ERR Error trying to load the RDB dump, check server logs.") from error
        core.log("warning", "DB reloaded by DEBUG RELOAD")
        if flush:
            keyspace.adopt(loader.keyspace)
            return
        pairs = list(zip(keyspace.databases, loader.keyspace.databases, strict=True))
        twice = next((key for mine, theirs in pairs for key in theirs.data if key in mine.data), None)
        if twice is not None and not merge:
            shown = twice.decode("utf-8", "backslashreplace")
            core.log("warning", f"RDB has duplicated key '{shown}' in DB")
            raise CommandError("ERR Error trying to load the RDB dump, check server logs.")
        for mine, theirs in pairs:
            for key, value in theirs.data.items():
                mine.put(key, value)
                mine.heed(key, value)
                mine.persist(key)
                if key in theirs.expires:
                    mine.set_expire(key, theirs.expires[key])
                if key in theirs.used:
                    mine.used[key] = theirs.used[key]

    # -- the history that a file is of --------------------------------------------------------------------------

    def origin(self) -> dict[bytes, bytes]:
        """The AUX fields by which a restart goes on with a partial resync."""
        core = self._core
        if not core.link.host and core.feed.backlog is None:
            return {}
        history = core.feed.history
        return origin_aux(history.replid, history.offset, self._following.stream_database)

    def restore_origin(self, loader: Loader) -> None:
        """A file was loaded at start: go on with the history that it names (`loadDataFromDisk`)."""
        core, feed = self._core, self._core.feed
        self.note_load(loader)
        replid = loader.fact(b"repl-id")
        offset = loader.number(b"repl-offset")
        if len(replid) != 40 or offset is None:
            return
        feed.timeline.begin(core.now(), offset)
        history = feed.history
        if core.link.host:
            history.adopt(replid, offset)
            core.link.stream_db = loader.stream_database
            core.link.resumable = True
            core.log("notice", "Using the replication ID and offset of the RDB file for a partial resynchronization.")
            return
        history.replid2 = replid
        history.second_offset = offset + 1
        history.offset = offset
        feed.open_backlog(core.settings.backlog_bytes)
        feed.selected_db = -1
        for number, key in loader.expired:
            self._keyspace.emit(number, b"DEL", key)
        core.propagation.flush(atomic=False)
        feed.flush()
        core.primary.left_alone()
