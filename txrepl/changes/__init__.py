"""The replication stream as changes: its bytes go in, in any split; what each command did comes out, and where it ends.

    bytes ─ Decoder ─ Change … ─ Sieve (filters, transactions) ─ Change … ─ one JSON object each

A `Checkpoint` names a place between two commands so that the stream goes on from there exactly: the history, the offset
of the last byte before the place, the database that is selected there, and the transaction that is open there. As text
it is the id of a change:

    id = replid ":" offset [ ":" db [ ":" transaction ] ]

PING, SELECT and REPLCONF are no changes; their bytes count. MULTI and EXEC become the begin and the end of a
transaction, which is known by the offset of its MULTI; one that holds no change that is wanted is left out.

A filter by key, or by database, lets through what reaches beyond a key: FLUSHALL, FLUSHDB and SWAPDB, and commands
whose keys are not known. Otherwise a reader would believe in keys that are gone.

checkpoint   `Checkpoint`: places as text and back; `locate`: where a backlog's commands begin
decoder      `Decoder`: bytes → `Change`, and a change as JSON
selection    `Selection`, `Sieve`: what a reader wants
encoder      many readers' events at once, as messages in and out: what `python -m txrepl.changes` runs in a process of
             its own, so that readers cost those who write next to nothing
"""

from __future__ import annotations

from txrepl.changes.checkpoint import ID_PATTERN, NO_LIMIT_BYTES, OFFSET_MAX, Checkpoint, locate
from txrepl.changes.decoder import Change, Decoder, Kind, dump_json, keys_of
from txrepl.changes.selection import Selection, Sieve

__all__ = [
    "ID_PATTERN",
    "NO_LIMIT_BYTES",
    "OFFSET_MAX",
    "Change",
    "Checkpoint",
    "Decoder",
    "Kind",
    "Selection",
    "Sieve",
    "dump_json",
    "keys_of",
    "locate",
]
