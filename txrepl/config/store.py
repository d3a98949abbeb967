"""The values of all directives while the server runs.

A value changes in three ways: `load` (start: any directive, in order), `set_many` (CONFIG SET: mutable ones,
all or none, then whoever subscribed is told), and `assign` (the server's own state, such as `replicaof` after a
REPLICAOF command). Values are held under the modern name, whatever name was used.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from txrepl.config.parse import Directive, fatal
from txrepl.config.quoting import split_words, to_bytes, to_text
from txrepl.config.special import BufferLimits
from txrepl.config.table import FILE_ONLY, TABLE, Spec, find
from txrepl.errors import ConfigError

MASK: Final = "***"
_GLOB: Final = frozenset("[*?")
_LOADING: Final = "LOADING Redis is loading the dataset in memory"


class Config:
    """The directives and their values.

    Parameters:
        file_path: the absolute path of the configuration file, or None when there is none.
    """

    def __init__(self, file_path: str | None = None) -> None:
        self.file_path: str | None = file_path
        #: Lines such as `rename-command` and `user`, in order: what has no value.
        self.file_only: list[Directive] = []
        self._values: dict[str, Any] = {spec.name: spec.default for spec in TABLE}
        self._values["dir"] = os.getcwd()
        self._watchers: dict[str, list[Callable[[], None]]] = {}
        self._warnings: list[str] = []
        self._warned: set[str] = set()
        self._save_seen = False

    # Reading.

    def __getitem__(self, name: str) -> Any:
        """The value under the modern name: bool, int (bytes, seconds, … as the directive has it), str or tuple.

        Raises:
            KeyError: no such directive.
        """
        return self._values[name]

    def get_bool(self, name: str) -> bool:
        """The value of a yes/no directive."""
        value: bool = self._values[name]
        return value

    def get_int(self, name: str) -> int:
        """The value of a number, a size in bytes, or an octal mode."""
        value: int = self._values[name]
        return value

    def get_str(self, name: str) -> str:
        """The value of a text or of a choice; empty means not set."""
        value: str = self._values[name]
        return value

    @property
    def bind(self) -> tuple[str, ...]:
        """The addresses of `bind`, with their `-`; none at all means no TCP listener."""
        value: tuple[str, ...] = self._values["bind"]
        return value

    @property
    def save_points(self) -> tuple[tuple[int, int], ...]:
        """Pairs of seconds and changes."""
        value: tuple[tuple[int, int], ...] = self._values["save"]
        return value

    @property
    def buffer_limits(self) -> BufferLimits:
        """The output buffer limits of the three classes of clients."""
        value: BufferLimits = self._values["client-output-buffer-limit"]
        return value

    @property
    def replicaof(self) -> tuple[str, int] | None:
        """Host and port of the primary, or None."""
        value: tuple[str, int] | None = self._values["replicaof"]
        return value

    @property
    def keyspace_events(self) -> frozenset[str]:
        """The class letters of `notify-keyspace-events`, `A` spelled out."""
        value: frozenset[str] = self._values["notify-keyspace-events"]
        return value

    @property
    def latency_percentiles(self) -> tuple[float, ...]:
        """The percentiles of INFO latencystats."""
        value: tuple[float, ...] = self._values["latency-tracking-info-percentiles"]
        return value

    def shutdown_options(self, name: str) -> tuple[str, ...]:
        """The words of `shutdown-on-sigint` or `shutdown-on-sigterm`; none means the default way."""
        value: tuple[str, ...] = self._values[name]
        return value

    def allows(self, name: str, is_local: bool) -> bool:
        """Whether a `no|yes|local` directive such as `enable-debug-command` lets a client through.

        Parameters:
            name: the directive.
            is_local: the client came over loopback or the Unix socket.
        """
        value = self._values[name]
        return value == "yes" or (value == "local" and is_local)

    def default(self, name: str) -> Any:
        """The default of a directive, by modern name."""
        spec = find(name)
        if spec is None:
            raise KeyError(name)
        return spec.default

    def text(self, name: str) -> str:
        """The value as CONFIG GET shows it, secrets in clear."""
        spec = find(name)
        if spec is None:
            raise KeyError(name)
        return spec.kind.show(self._values[spec.name])

    def masked_text(self, name: str) -> str:
        """The value for logs and other output: a secret that is set becomes `***`."""
        spec = find(name)
        text = self.text(name)
        return MASK if spec is not None and spec.secret and text else text

    def get_matching(
        self, patterns: Sequence[bytes], compile_glob: Callable[[bytes], Callable[[bytes], bool]]
    ) -> dict[bytes, bytes]:
        """The reply of CONFIG GET.

        Parameters:
            patterns: names or globs. A name is answered as the caller spelled it; a glob gives modern
                and old names, but no hidden directive.
            compile_glob: makes a predicate from a (lower-case) glob.
        """
        found: dict[bytes, tuple[bytes, Spec]] = {}  # by lower-case name: the first spelling stays
        for pattern in patterns:
            text = to_text(pattern)
            if _GLOB.isdisjoint(text):
                spec = find(text)
                if spec is not None:
                    found.setdefault(pattern.lower(), (pattern, spec))
                continue
            matches = compile_glob(pattern.lower())
            for spec in TABLE:
                for shown in (spec.name, spec.alias):
                    if shown is not None and not spec.hidden and matches(shown.encode()):
                        found.setdefault(shown.encode(), (shown.encode(), spec))
        return {name: to_bytes(spec.kind.show(self._values[spec.name])) for name, spec in found.values()}

    # Changing.

    def load(self, directives: Iterable[Directive]) -> None:
        """Take the directives of a file or command line, in order; later ones win.

        Raises:
            ConfigError: a value is refused; the message is the block that Redis prints, naming file and line.
        """
        for directive in directives:
            spec = find(directive.name)
            if spec is None:
                self.file_only.append(directive)
                extra = FILE_ONLY[directive.name]
                if not extra.honoured:
                    self._warn(directive.name, extra.note)
                continue
            try:
                value = spec.kind.parse(_file_words(spec, directive), self._values[spec.name])
            except ConfigError as error:
                raise fatal(directive, str(error)) from None
            self._values[spec.name] = self._more_save_points(value) if spec.name == "save" else value
            self._warn_if_idle(spec)

    def _more_save_points(self, value: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        """The first `save` replaces the default points, an empty one all, the others add to them."""
        before = self.save_points if self._save_seen else ()
        self._save_seen = True
        return before + value if value else ()

    def set_many(
        self,
        changes: Mapping[str, str] | Iterable[tuple[str, str]],
        *,
        is_local: bool = True,
        is_loading: bool = False,
    ) -> list[str]:
        """CONFIG SET: change all of them, or none.

        Parameters:
            changes: names (modern or old, any case) and the one argument of each.
            is_local: the client came over loopback or the Unix socket (for protected directives).
            is_loading: a dataset is being loaded.
        Returns:
            the modern names whose value became another one.
        Raises:
            ConfigError: nothing was changed; the message is the whole error reply, code first.
        """
        pairs = list(changes.items() if isinstance(changes, Mapping) else changes)
        specs = self._settable(pairs, is_local, is_loading)
        before = dict(self._values)
        for (used_name, text), spec in zip(pairs, specs, strict=True):
            words = ([] if not text else text.split(" ")) if spec.kind.multi else [text]
            try:
                self._values[spec.name] = spec.kind.parse(words, self._values[spec.name])
            except ConfigError as error:
                self._values = before
                raise _set_error(used_name.lower(), str(error)) from None
        changed = list(dict.fromkeys(spec.name for spec in specs if self._values[spec.name] != before[spec.name]))
        used = {spec.name: name.lower() for (name, _), spec in zip(pairs, specs, strict=True)}
        self._tell([(name, used[name]) for name in changed], before)
        for spec in specs:
            self._warn_if_idle(spec)
        return changed

    def _settable(self, pairs: Sequence[tuple[str, str]], is_local: bool, is_loading: bool) -> list[Spec]:
        """The directives of the pairs, if all of them may be set now."""
        specs: list[Spec] = []
        seen: set[str] = set()
        for name, _ in pairs:
            spec = find(name)
            if spec is None:
                raise ConfigError(f"ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
            if not spec.mutable:
                raise _set_error(name, "can't set immutable config")
            if spec.protected and not self.allows("enable-protected-configs", is_local):
                raise _set_error(name, "can't set protected config")
            if spec.deny_loading and is_loading:
                raise ConfigError(_LOADING)
            if name.lower() in seen:
                raise _set_error(name, "duplicate parameter")
            seen.add(name.lower())
            specs.append(spec)
        return specs

    def subscribe(self, name: str, callback: Callable[[], None]) -> None:
        """Have a callback called after `set_many` has changed a directive.

        A callback given for several names is called once for all of them. One that raises `ConfigError` (its
        message is the reason) undoes the whole change: the old values come back, and the callbacks that had
        been called are called again to take them up.

        Parameters:
            name: the modern name.
            callback: reads the new value from this object.
        """
        if name not in self._values:
            raise KeyError(name)
        self._watchers.setdefault(name, []).append(callback)

    def _tell(self, changed: Sequence[tuple[str, str]], before: dict[str, Any]) -> None:
        """Call who subscribed to the changed names (each with the name that the caller used)."""
        told: list[Callable[[], None]] = []
        for name, used_name in changed:
            for callback in self._watchers.get(name, ()):
                if callback in told:
                    continue
                told.append(callback)
                try:
                    callback()
                except ConfigError as error:
                    self._values = before
                    self._retell(told)
                    raise _set_error(used_name, str(error)) from None

    def _retell(self, told: Sequence[Callable[[], None]]) -> None:
        for callback in told:
            try:
                callback()
            except ConfigError as error:
                self._warnings.append(f"Failed applying restored failed CONFIG SET command: {error}")

    def assign(self, name: str, value: Any) -> None:
        """Record a value that the server itself decided; nobody is told, nothing is checked.

        Parameters:
            name: the modern name.
            value: a value of the directive's own Python type.
        """
        if name not in self._values:
            raise KeyError(name)
        self._values[name] = value

    # Warnings.

    def take_warnings(self) -> list[str]:
        """The warnings that have come up since the last call; one for each directive without effect, ever."""
        fresh, self._warnings = self._warnings, []
        return fresh

    def _warn_if_idle(self, spec: Spec) -> None:
        if not spec.honoured and self._values[spec.name] != spec.default:
            self._warn(spec.name, spec.note)

    def _warn(self, name: str, note: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            reason = f": {note}" if note else ""
            self._warnings.append(f"WARNING: the directive '{name}' is accepted but has no effect here{reason}")


def _file_words(spec: Spec, directive: Directive) -> Sequence[str]:
    """The values on a line; `save "900 1"` in one pair of quotes is two of them."""
    if spec.kind.multi and len(directive.words) == 1 and directive.words[0]:
        inner = split_words(to_bytes(directive.words[0]))
        if inner is not None:
            return [to_text(word) for word in inner]
    return directive.words


def _set_error(name: str, reason: str) -> ConfigError:
    return ConfigError(f"ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")
