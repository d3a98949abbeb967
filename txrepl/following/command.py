"""`txrepl-follow HOST:PORT`: a primary's dataset and changes as lines of JSON.

A checkpoint file makes it go on after any end, of the process or of the machine. The lines are written and flushed
first; then the file is replaced as a whole, after an fsync, at most every `SAVE_S`. So what the file names was written,
and what was written beyond it is written once more: a line's `id` tells.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import queue
import re
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TextIO

from txrepl.changes import Checkpoint
from txrepl.errors import TxreplError
from txrepl.following import Follower, follow

SAVE_S: Final = 0.2
PROGRESS_COLUMNS: Final = 30


class CheckpointFile:
    """A file that holds one checkpoint, and is whole at any time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = path.with_name(f"{path.name}.tmp")

    def read(self) -> Checkpoint | None:
        """The checkpoint; None if there is no file.

        Raises:
            ValueError: it holds something else.
            OSError: it cannot be read.
        """
        try:
            text = self._path.read_text("ascii", "replace")
        except FileNotFoundError:
            return None
        try:
            return Checkpoint.parse(text.strip())
        except ValueError as error:
            raise ValueError(f"{self._path} holds no checkpoint: {error}") from None

    def write(self, checkpoint: Checkpoint) -> None:
        """Replace it.

        Raises:
            OSError: the disk refused it; the old one is still there.
        """
        with self._temporary.open("w", encoding="ascii") as file:
            file.write(f"{checkpoint}\n")
            file.flush()
            os.fsync(file.fileno())
        self._temporary.replace(self._path)


class Progress:
    """Words for whoever watches: on a terminal the dataset's progress, redrawn in place."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_drawn = False
        self._watched = stream.isatty()
        self._percent = -1

    def say(self, text: str) -> None:
        """A line."""
        self._clear()
        self._stream.write(f"txrepl-follow: {text}\n")
        self._stream.flush()

    def move(self, done: int, total: int) -> None:
        """So many bytes of the dataset came; of 0, if it is not known of how many."""
        if not self._watched:
            return
        percent = 100 * done // total if total else done // 1_000_000
        if percent == self._percent:
            return
        self._percent = percent
        filled = PROGRESS_COLUMNS * done // total if total else 0
        bar = f"[{'#' * filled}{'.' * (PROGRESS_COLUMNS - filled)}] {percent:3d}% " if total else ""
        self._stream.write(f"\r{bar}{done / 1e6:.1f} MB\x1b[K")
        self._stream.flush()
        self._is_drawn = True
        if done == total:
            self._clear()

    def _clear(self) -> None:
        if self._is_drawn:
            self._is_drawn = False
            self._stream.write("\r\x1b[K")


def _place(text: str) -> tuple[str, int]:
    match = re.fullmatch(r"(?:(\[[^\]]+\]|[^:]+):)?(\d{1,5})", text)
    if match is None or not 0 < int(match[2]) < 65536:
        raise argparse.ArgumentTypeError("HOST:PORT or PORT is needed")
    return (match[1] or "127.0.0.1").strip("[]"), int(match[2])


def _checkpoint(text: str) -> Checkpoint:
    try:
        return Checkpoint.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _database(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise argparse.ArgumentTypeError("the number of a database is needed")
    return int(text)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line, read."""
    parser = argparse.ArgumentParser(
        prog="txrepl-follow",
        description="Print the dataset of a Redis or Valkey, and then each change as it happens, as lines of JSON.",
    )
    parser.add_argument("place", metavar="HOST:PORT", type=_place, help="the server to follow")
    parser.add_argument(
        "--from", dest="start", metavar="ID", type=_checkpoint, help="go on after this id; then without the dataset"
    )
    parser.add_argument(
        "--checkpoint-file", metavar="FILE", type=Path, help="go on from the id in it, and keep it current"
    )
    parser.add_argument("--no-snapshot", action="store_true", help="only changes, never the dataset")
    parser.add_argument("--match", metavar="GLOB", help="only keys that match the pattern, as in KEYS")
    parser.add_argument("--db", metavar="N", type=_database, action="append", default=[], help="only this database")
    parser.add_argument("--command", metavar="NAME", action="append", default=[], help="only changes by this command")
    parser.add_argument("--user", default="", help="the user for AUTH")
    parser.add_argument("--password-env", metavar="NAME", help="the environment variable that holds the password")
    return parser.parse_args(argv)


class Output:
    """Writes in a thread, so that whoever reads slowly does not keep us from telling the primary that we are alive.

    Attributes:
        busy: a write is under way, perhaps for ever.
    """

    def __init__(self, out: TextIO) -> None:
        self.busy = False
        self._out = out
        self._loop = asyncio.get_running_loop()
        self._orders: queue.SimpleQueue[tuple[str, asyncio.Future[None]]] = queue.SimpleQueue()
        threading.Thread(target=self._work, daemon=True).start()

    async def write(self, text: str) -> None:
        """Write and flush.

        Raises:
            OSError: it failed.
        """
        written: asyncio.Future[None] = self._loop.create_future()
        self.busy = True
        self._orders.put((text, written))
        await written
        self.busy = False

    def _work(self) -> None:
        while True:
            text, written = self._orders.get()
            error: OSError | None = None
            try:
                self._out.write(text)
                self._out.flush()
            except OSError as failed:
                error = failed
            if self._loop.is_closed():
                return
            self._loop.call_soon_threadsafe(self._told, written, error)

    def _told(self, written: asyncio.Future[None], error: OSError | None) -> None:
        if written.done():
            return  # nobody waits any more
        if error is None:
            written.set_result(None)
        else:
            self.busy = False
            written.set_exception(error)


class Printer:
    """Writes a follower's events, and its checkpoint after them."""

    def __init__(self, follower: Follower, out: Output, file: CheckpointFile | None) -> None:
        self._follower = follower
        self._out = out
        self._file = file
        self._unsaved: Checkpoint | None = None

    async def run(self) -> None:
        """Write until told to stop."""
        loop = asyncio.get_running_loop()
        next_save = loop.time()
        pending: asyncio.Task[object] | None = None
        try:
            while True:
                pending = pending or asyncio.ensure_future(self._write_batch())
                timeout = None if self._unsaved is None else max(next_save - loop.time(), 0)
                done, _ = await asyncio.wait({pending}, timeout=timeout)
                if done:
                    pending.result()
                    pending = None
                if self._unsaved is not None and loop.time() >= next_save:
                    self.save()
                    next_save = loop.time() + SAVE_S
        finally:
            if pending is not None:
                pending.cancel()
                await asyncio.gather(pending, return_exceptions=True)
            self.save()

    async def _write_batch(self) -> None:
        batch = await self._follower.batch()
        await self._out.write("".join(event.json() + "\n" for event in batch))
        self._unsaved = self._follower.checkpoint

    def save(self) -> None:
        """Bring the file up to what was written."""
        if self._file is not None and self._unsaved is not None:
            self._file.write(self._unsaved)
        self._unsaved = None


async def _main(options: argparse.Namespace, progress: Progress) -> None:
    file = CheckpointFile(options.checkpoint_file) if options.checkpoint_file is not None else None
    start = (file.read() if file is not None else None) or options.start
    host, port = options.place

    def log(level: str, message: str) -> None:
        if level != "debug":
            progress.say(message)

    follower = follow(
        host,
        port,
        checkpoint=start,
        snapshot=not options.no_snapshot,
        match=options.match,
        db=options.db,
        command=options.command,
        user=options.user,
        password=os.environ[options.password_env] if options.password_env else "",
        log=log,
    )
    follower.on_progress(progress.move)
    out = Output(sys.stdout)
    running = asyncio.ensure_future(Printer(follower, out, file).run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        if out.busy:
            os._exit(0)  # whoever reads our output does not: nothing that Python does in the end would get past that


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = arguments(argv)
    progress = Progress(sys.stderr)
    if options.password_env and options.password_env not in os.environ:
        progress.say(f"there is no environment variable {options.password_env}")
        return 2
    if isinstance(sys.stdout, TextIO) or hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
    try:
        asyncio.run(_main(options, progress))
    except BrokenPipeError:
        # The reader of our output left (`| head`): point stdout nowhere, so that Python's exit does not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (TxreplError, ValueError, OSError) as error:
        progress.say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
