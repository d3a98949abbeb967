"""The numbers of the RDB format: opcodes, value types, versions. Nothing else is defined here.

Up to type 21 Redis and Valkey agree; from 22 on the same number means different things, so a type is always
read together with its dialect, which the file's magic tells (`REDIS0011`, `VALKEY080`).
"""

from __future__ import annotations

from typing import Final, Literal

Dialect = Literal["redis", "valkey"]

EOF: Final = 255
SELECT_DB: Final = 254
EXPIRE_SECONDS: Final = 253
EXPIRE_MS: Final = 252
RESIZE_DB: Final = 251
AUX: Final = 250
FREQ: Final = 249
IDLE: Final = 248
MODULE_AUX: Final = 247
FUNCTION_PRE_RELEASE: Final = 246
FUNCTION: Final = 245
SLOT_INFO: Final = 244
SLOT_IMPORT: Final = 243
"""Valkey 9 only: a slot migration that was under way in a cluster."""

STRING: Final = 0
LIST: Final = 1
SET: Final = 2
ZSET_TEXT: Final = 3
HASH: Final = 4
ZSET: Final = 5
MODULE_PRE_RELEASE: Final = 6
MODULE: Final = 7
HASH_ZIPMAP: Final = 9
LIST_ZIPLIST: Final = 10
SET_INTSET: Final = 11
ZSET_ZIPLIST: Final = 12
HASH_ZIPLIST: Final = 13
LIST_QUICKLIST: Final = 14
STREAM: Final = 15
HASH_LISTPACK: Final = 16
ZSET_LISTPACK: Final = 17
LIST_QUICKLIST_2: Final = 18
STREAM_2: Final = 19
SET_LISTPACK: Final = 20
STREAM_3: Final = 21
HASH_DEADLINES_VALKEY: Final = 22
HASH_DEADLINES_PRE_RELEASE: Final = 22
HASH_LISTPACK_DEADLINES_PRE_RELEASE: Final = 23
HASH_DEADLINES: Final = 24
HASH_LISTPACK_DEADLINES: Final = 25

COMMON_TYPES: Final = frozenset((0, 1, 2, 3, 4, 5, 7, *range(9, 22)))
"""The types that every dialect has and that are read."""
KNOWN_TYPES: Final[dict[Dialect, frozenset[int]]] = {
    "redis": COMMON_TYPES | {22, 23, 24, 25},
    "valkey": COMMON_TYPES | {22},
}

MODULE_EOF: Final = 0
MODULE_SIGNED: Final = 1
MODULE_UNSIGNED: Final = 2
MODULE_FLOAT: Final = 3
MODULE_DOUBLE: Final = 4
MODULE_STRING: Final = 5

REDIS_MAX_VERSION: Final = 12
VALKEY_MIN_VERSION: Final = 80
VALKEY_MAX_VERSION: Final = 80

WITH_CHECKSUM: Final = 5
"""The first version whose files end in a CRC-64."""
WITH_FUNCTIONS: Final = 10
WITH_STREAM_COUNTERS: Final = 10
WITH_CONSUMER_ACTIVITY: Final = 11
WITH_DEADLINES: Final = 12
"""The first Redis version that holds hash-field deadlines; in Valkey it is 80."""

PORTABLE_VERSION: Final = 9
"""What Redis 5.0 and all later servers load."""

QUICKLIST_PLAIN: Final = 1
QUICKLIST_PACKED: Final = 2

STREAM_ITEM_DELETED: Final = 1
STREAM_ITEM_SAME_FIELDS: Final = 2
