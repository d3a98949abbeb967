"""Scripts and functions of one server, and the one that runs now."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from txrepl.errors import CommandError
from txrepl.keyspace.database import Keyspace
from txrepl.resp.replies import Reply
from txrepl.scripting.arithmetic import Random
from txrepl.scripting.libraries import Function, Libraries, Loader
from txrepl.scripting.running import Request, Run
from txrepl.scripting.scripts import Script, Scripts

if TYPE_CHECKING:
    from txrepl.scripting.machine import Machine

LOAD_TIMEOUT_MS: Final = 500
"""FUNCTION LOAD only registers functions: what takes longer is ended."""
SERVE_EVERY_MS: Final = 5
"""While a script is busy, others are served so often at most."""
KILLED: Final = 1
TIMED_OUT: Final = 2
"""Why a script is to end, for Lua, which has the words."""
_LEVELS: Final = ("debug", "verbose", "notice", "warning")
NOT_BUSY: Final = "NOTBUSY No scripts in execution right now."
BUSY_SCRIPT: Final = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
BUSY_FUNCTION: Final = "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
FROM_PRIMARY: Final = (
    "UNKILLABLE The busy script was sent by a master instance in the context of replication and cannot be killed."
)
UNKILLABLE: Final = (
    "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script "
    "termination or kill the server in a hard way using the SHUTDOWN NOSAVE command."
)


class Engine:
    """What runs scripts and functions.

    Parameters:
        keyspace: whose `functions` are the libraries' sources.
        monotonic_ms: a clock in ms that nobody sets.
        log: called as log(level, message).

    Attributes:
        run: what runs now, None if nothing does.
        busy_ms: from when on a script is busy (`busy-reply-threshold`), 0 = never.
        while_busy: serves other connections for a moment, and comes back; called again and again while a script is
            busy. It returns whether the script may go on: False ends it whatever it has done.
        busy_began, busy_ended: told about a script that is busy.
    """

    def __init__(self, keyspace: Keyspace, monotonic_ms: Callable[[], int], log: Callable[[str, str], None]) -> None:
        self._keyspace = keyspace
        self._now = monotonic_ms
        self._log = log
        self.run: Run | None = None
        self.busy_ms: int = 5000
        self.while_busy: Callable[[], bool] = lambda: True
        self.busy_began: Callable[[], None] = lambda: None
        self.busy_ended: Callable[[], None] = lambda: None
        self.scripts = Scripts(self._script_machine)
        self._loader = Loader(self._function_machine)
        self._libraries = Libraries(self._loader)
        self._adopted: list[bytes] = []
        self._random = Random()
        self._for_scripts: Machine | None = None
        self._for_functions: Machine | None = None
        self._load_began_ms: int | None = None
        self._served_ms = 0

    # -- machines -----------------------------------------------------------------------------------------------

    def _script_machine(self) -> Machine:
        if self._for_scripts is None:
            # Not before somebody wants a script: a server without them starts faster, and is smaller.
            from txrepl.scripting.machine import Machine  # noqa: PLC0415

            self._for_scripts = Machine(self._interrupt, self._ending, self._log_line, self._random)
        return self._for_scripts

    def _function_machine(self) -> Machine:
        if self._for_functions is None:
            from txrepl.scripting.machine import Machine  # noqa: PLC0415 - as above

            self._for_functions = Machine(
                self._interrupt, self._ending, self._log_line, self._random, self._loader.register
            )
        return self._for_functions

    def _log_line(self, level: int, message: bytes) -> None:
        self._log(_LEVELS[level], message.decode("utf-8", "backslashreplace"))

    @property
    def script_memory_bytes(self) -> int:
        """What the machine of scripts takes (`used_memory_vm_eval`)."""
        return self._for_scripts.used_bytes if self._for_scripts is not None else 0

    @property
    def function_memory_bytes(self) -> int:
        """What the machine of functions takes (`used_memory_vm_functions`)."""
        return self._for_functions.used_bytes if self._for_functions is not None else 0

    # -- scripts ------------------------------------------------------------------------------------------------

    def run_script(self, script: Script, request: Request) -> Reply:
        """Run a script.

        Raises:
            CommandError: it ended with an error.
        """
        run = self.run = Run(script.sha, request, self._now(), is_eval=True)
        try:
            return self._script_machine().run_script(run, script.program)
        finally:
            self._ended(run)

    def flush_scripts(self) -> None:
        """SCRIPT FLUSH: forget all scripts, and the Lua that ran them."""
        self.scripts.flush()
        self._for_scripts = None

    # -- functions ----------------------------------------------------------------------------------------------

    @property
    def libraries(self) -> Libraries:
        """The libraries of the dataset as it is now."""
        if self._keyspace.functions is not self._adopted:
            self._adopt()
        return self._libraries

    def _adopt(self) -> None:
        """The dataset was replaced: load its libraries. One that does not load stays where it is, and is no use."""
        libraries = self._libraries
        libraries.clear()
        self._adopted = self._keyspace.functions
        for source in self._adopted:
            try:
                libraries.load(source, replace=True)
            except CommandError as error:
                reason = error.message.removeprefix(b"ERR ").decode("utf-8", "backslashreplace")
                self._log("warning", f"Failed creating the library: {reason}")

    def load_library(self, source: bytes, *, replace: bool, in_time: bool = True) -> bytes:
        """FUNCTION LOAD; the library's name.

        Parameters:
            source: the library's text.
            replace: it may take the place of one of the same name.
            in_time: it must be done within `LOAD_TIMEOUT_MS`.

        Raises:
            CommandError: it is none, or collides.
        """
        libraries = self.libraries
        self._load_began_ms = self._now() if in_time else None
        try:
            name = libraries.load(source, replace=replace).name
        finally:
            self._load_began_ms = None
        self._changed()
        return name

    def delete_library(self, name: bytes) -> None:
        """FUNCTION DELETE.

        Raises:
            CommandError: there is none of that name.
        """
        self.libraries.delete(name)
        self._changed()

    def flush_libraries(self) -> None:
        """FUNCTION FLUSH."""
        self._libraries.clear()
        self._for_functions = None
        self._changed()

    def restore_libraries(self, sources: list[bytes], *, flush: bool, replace: bool) -> None:
        """FUNCTION RESTORE.

        Raises:
            CommandError: one of the libraries is none, or collides; nothing has changed.
        """
        if flush:
            restored = Libraries(self._loader)
            restored.join(sources, replace=False)
            self._libraries.clear()
            self._libraries = restored
        else:
            self.libraries.join(sources, replace=replace)
        self._changed()

    def _changed(self) -> None:
        self._adopted = self._keyspace.functions = self._libraries.sources

    def run_function(self, function: Function, request: Request) -> Reply:
        """Run a function.

        Raises:
            CommandError: it ended with an error.
        """
        run = self.run = Run(function.name, request, self._now(), is_eval=False)
        try:
            return self._function_machine().run_function(run, function.callback)
        finally:
            self._ended(run)

    # -- interruption -------------------------------------------------------------------------------------------

    def _interrupt(self) -> int | None:
        """Called from within Lua, now and then (`scriptInterrupt`)."""
        run = self.run
        if run is None:
            return self._ending()
        try:
            return self._looked_at(run)
        except Exception as error:  # in what others do meanwhile; Lua must not see it
            self._log("warning", f"Unexpected error while a script is busy: {type(error).__name__}: {error}")
            return None

    def _looked_at(self, run: Run) -> int | None:
        if not run.is_busy:
            elapsed = self._now() - run.started_ms
            if not self.busy_ms or elapsed < self.busy_ms:
                return None
            name = "SCRIPT KILL" if run.is_eval else "FUNCTION KILL"
            self._log(
                "warning",
                f"Slow script detected: still in execution after {elapsed} milliseconds. "
                f"You can try killing the script using the {name} command. "
                f"Script name is: {run.name.decode('latin-1')}.",
            )
            run.is_busy = True
            self.busy_began()
        now = self._now()
        if now - self._served_ms >= SERVE_EVERY_MS:
            self._served_ms = now
            if not self.while_busy():
                run.killed = True
        reason = self._ending()
        if reason is not None and not run.was_ended:
            run.was_ended = True
            self._log("warning", "Lua script killed by user with SCRIPT KILL.")
        return reason

    def _ending(self) -> int | None:
        """Why what runs is to end; None if it is not."""
        run = self.run
        if run is not None:
            return KILLED if run.killed else None
        began = self._load_began_ms
        return TIMED_OUT if began is not None and self._now() - began > LOAD_TIMEOUT_MS else None

    def _ended(self, run: Run) -> None:
        self.run = None
        if run.is_busy:
            self.busy_ended()

    def busy_refusal(self) -> CommandError | None:
        """What others are told while a script is busy; None while none is."""
        run = self.run
        if run is None or not run.is_busy:
            return None
        return CommandError(BUSY_SCRIPT if run.is_eval else BUSY_FUNCTION)

    def duration_ms(self) -> int:
        """How long the running script has run."""
        return self._now() - self.run.started_ms if self.run is not None else 0

    def kill(self, *, is_eval: bool) -> None:
        """SCRIPT KILL and FUNCTION KILL (`scriptKill`).

        Raises:
            CommandError: nothing runs, or it cannot be ended.
        """
        run = self.run
        if run is None:
            raise CommandError(NOT_BUSY)
        if run.request.from_primary:
            raise CommandError(FROM_PRIMARY)
        if run.wrote:
            raise CommandError(UNKILLABLE)
        if is_eval and not run.is_eval:
            raise CommandError(BUSY_FUNCTION)
        if not is_eval and run.is_eval:
            raise CommandError(BUSY_SCRIPT)
        run.killed = True
