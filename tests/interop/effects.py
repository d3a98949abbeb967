"""Every writing command in the forms that differ in what they put into the stream, from a known state each.

A line is a sequence, which goes on behind a bar at its end; its commands stand between bars. `{far}` is a unix time in
ms far ahead, `{far_s}` one in s, `{dump}` and `{functions}` are payloads of DUMP and of FUNCTION DUMP. What a command
does by chance is undone before the end, so that its choice does not show.
"""

from __future__ import annotations

import shlex
from typing import Final

from tests.interop.grammar import Words
from tests.interop.grammar.maker import FAR_MS, FAR_S

GONE = "SET s1 a | PEXPIRE s1 1 | DEBUG SLEEP 0.004 | "
"""A key that has expired and was not met since."""

FORMS: Final = f"""
SET s1 a | SET s1 b NX | SET s1 c XX | SET s2 d XX
SET s1 a EX 100 | SET s1 b KEEPTTL | SET s1 c | SET s2 1 PX 100000 NX
SET s1 a EXAT {{far_s}} | SET s1 b PXAT {{far}} | set s1 c get | SET s1 d GET EX 100 | SET s1 e KEEPTTL GET
{GONE}SET s1 b
{GONE}SET s1 b XX
SETEX s1 100 a | PSETEX s1 100000 b | SETEX s1 0 a | PSETEX s2 -1 b
SETNX s1 a | SETNX s1 b
GETSET s1 a | GETSET s1 b | SETEX s1 100 x | GETSET s1 c | LPUSH l1 a | GETSET l1 b
GETDEL s1 | SET s1 a | GETDEL s1
{GONE}GETDEL s1
SET s1 a | GETEX s1 | GETEX s1 EX 100 | GETEX s1 PX 100000 | GETEX s1 EXAT {{far_s}} | GETEX s1 PXAT {{far}}
SET s1 a | GETEX s1 PERSIST | GETEX s1 EX 100 | GETEX s1 PERSIST | GETEX s1 EXAT 1 | GETEX s2 EX 100
MSET s1 a s2 b | MSETNX s1 c s3 d | MSETNX s3 e s4 f
{GONE}MSETNX s1 b s2 c
APPEND s1 a | APPEND s1 b | APPEND s1 ""
SETRANGE s1 2 ab | SETRANGE s1 0 "" | SETRANGE s2 0 "" | SETRANGE s1 0 x
INCR s1 | DECR s1 | INCRBY s1 5 | DECRBY s1 3 | INCR s2 | SET s2 x | INCR s2 | INCRBY s1 x
SET s1 1 EX 100 | INCR s1 | INCRBYFLOAT s1 1.5 | INCRBYFLOAT s2 -0.1 | INCRBYFLOAT s1 nan
SETBIT s1 7 1 | SETBIT s1 7 1 | SETBIT s1 7 0 | SETBIT s2 0 0
BITFIELD s1 SET u8 0 5 | BITFIELD s1 GET u8 0 | BITFIELD s1 SET u8 0 5 |
BITFIELD s1 INCRBY u8 0 1 OVERFLOW SAT INCRBY u4 0 9
SET s1 a | SET s2 b | BITOP AND s3 s1 s2 | BITOP NOT s3 s1 | BITOP OR s3 n1 n2 | BITOP XOR s4 n1
PFADD p1 a b | PFADD p1 a | PFADD p2 | PFADD p2 | PFCOUNT p1 | PFCOUNT p1 | PFMERGE p3 p1 p2 | PFCOUNT p1 p2 |
PFMERGE p1
PFADD p1 a b c | PFDEBUG TODENSE p1 | PFDEBUG GETREG p1 | PFDEBUG ENCODING p1
LPUSH l1 a b | RPUSH l1 c | LPUSHX l1 d | LPUSHX l2 d | RPUSHX l1 e | RPUSHX l2 e
RPUSH l1 a b c | LPOP l1 | RPOP l1 | LPOP l1 1 | LPOP l1 | RPOP l1 2
RPUSH l1 a b c d e | LPOP l1 2 | RPOP l1 2 | RPOP l1 0 | LPOP l1 9
RPUSH l1 a b | LSET l1 0 x | LSET l1 9 x | LINSERT l1 BEFORE b y | LINSERT l1 AFTER n y | LREM l1 0 x |
LREM l1 0 n
RPUSH l1 a b c d | LTRIM l1 1 2 | LTRIM l1 0 -1 | LTRIM l1 5 9 | LTRIM l1 0 1
RPUSH l1 a b c | LMOVE l1 l2 LEFT RIGHT | LMOVE l1 l1 LEFT RIGHT | RPOPLPUSH l1 l2 | RPOPLPUSH n l2 |
LMOVE l1 l2 right left
RPUSH l1 a b c | LMPOP 2 n l1 LEFT | LMPOP 1 l1 RIGHT COUNT 5 | LMPOP 1 l1 LEFT
RPUSH l1 a b c d | BLPOP n l1 1 | BRPOP l1 1 | BLMPOP 1 2 n l1 LEFT COUNT 5 | BLPOP l1 0.001
RPUSH l1 a b | BLMOVE l1 l2 LEFT RIGHT 1 | BRPOPLPUSH l1 l2 1 | BRPOPLPUSH l1 l2 0.001 |
BLMOVE l1 l2 LEFT LEFT 0.001
RPUSH l1 3 1 2 | SORT l1 STORE l2 | SORT l1 DESC LIMIT 0 2 STORE l3 | SORT n STORE l2 | SORT l1 | SORT n STORE n
{GONE}SORT n STORE s1
HSET h1 a 1 b 2 | HSET h1 a 3 | HMSET h1 c 4 | HSETNX h1 a 9 | HSETNX h1 d 9 | HDEL h1 a n | HDEL h1 b c d |
HDEL h1 a
HINCRBY h1 a 1 | HINCRBYFLOAT h1 b 1.5 | HINCRBYFLOAT h1 a 0.5 | HINCRBY h1 b 1 | HINCRBY h2 x 0
SADD t1 a b | SADD t1 a | SREM t1 a n | SREM t1 b | SREM t1 b
SADD t1 a | SPOP t1 | SADD t1 a b c | SPOP t1 5 | SPOP t1 | SADD t1 a | SPOP t1 0
SADD t1 a b c d | SPOP t1 2 | SPOP t1 2
SADD t1 a b | SMOVE t1 t2 a | SMOVE t1 t2 n | SMOVE t1 t1 b | SMOVE t1 t2 b
SADD t1 a b | SADD t2 b c | SINTERSTORE t3 t1 t2 | SUNIONSTORE t3 t1 t2 | SDIFFSTORE t3 t1 t2 |
SDIFFSTORE t3 t1 t1 | SINTERSTORE t9 n
{GONE}SUNIONSTORE s1 n
{GONE}SADD t1 a | SUNIONSTORE s1 t1
ZADD z1 1 a 2 b | ZADD z1 1 a | ZADD z1 NX 5 a | ZADD z1 XX CH 5 a | ZADD z1 GT 1 a | ZADD z1 LT CH 1 a |
ZADD z1 INCR 2 a | ZADD z1 XX INCR 1 n
ZADD z1 1 a | ZINCRBY z1 2 a | ZINCRBY z1 0 a | ZINCRBY z2 1 x | ZREM z1 a n | ZREM z1 a | ZREM z2 x
ZADD z1 1 a 2 b 3 c 4 d | ZREMRANGEBYRANK z1 0 0 | ZREMRANGEBYSCORE z1 2 2 | ZREMRANGEBYLEX z1 [c [c |
ZREMRANGEBYRANK z1 5 9
ZADD z1 1 a 2 b | ZREMRANGEBYSCORE z1 -inf inf | ZREMRANGEBYSCORE z1 -inf inf | ZADD z1 0 a |
ZREMRANGEBYLEX z1 - + | ZREMRANGEBYLEX z1 - +
ZADD z1 1 a 2 b | ZADD z2 3 b 4 c | ZUNIONSTORE z3 2 z1 z2 | ZINTERSTORE z3 2 z1 z2 WEIGHTS 2 3 AGGREGATE MAX |
ZDIFFSTORE z3 2 z1 z2
ZADD z1 1 a | ZUNIONSTORE z1 1 n | ZADD z1 1 a | ZINTERSTORE z1 2 z1 n | ZADD z1 1 a | ZDIFFSTORE z1 2 z1 z1 |
ZDIFFSTORE n 1 n
ZADD z1 1 a 2 b 3 c | ZRANGESTORE z2 z1 0 1 | ZRANGESTORE z2 z1 (1 +inf BYSCORE LIMIT 0 1 |
ZRANGESTORE z2 z1 5 9 | ZRANGESTORE z2 n 0 1
ZADD z1 1 a 2 b 3 c 4 d | ZPOPMIN z1 | ZPOPMAX z1 1 | ZMPOP 2 n z1 MIN | ZMPOP 1 z1 MAX COUNT 5 | ZPOPMIN z1 |
ZPOPMAX z1 0
ZADD z1 1 a 2 b 3 c | ZPOPMIN z1 0 | ZPOPMAX z1 9 | ZMPOP 1 z1 MIN
ZADD z1 1 a 2 b 3 c | BZPOPMIN n z1 1 | BZPOPMAX z1 1 | BZMPOP 1 2 n z1 MIN COUNT 9 | BZPOPMIN z1 0.001
ZADD z1 1 a | BZMPOP 1 1 z1 MAX | BZPOPMAX z1 0.001 | BZMPOP 0.001 1 z1 MIN
GEOADD g1 13.3 38.1 a 15 37 b | GEOADD g1 NX 1 1 a | GEOADD g1 CH 14 38 a | GEOADD g1 13.3 38.1 b
GEOADD g1 13 38 a 15 37 b | GEOSEARCHSTORE g2 g1 FROMLONLAT 15 37 BYRADIUS 200 km ASC COUNT 1 |
GEOSEARCHSTORE g2 g1 FROMMEMBER a BYBOX 1 1 m STOREDIST
GEOADD g1 13 38 a | GEORADIUS g1 13 38 10 km STORE g2 | GEORADIUSBYMEMBER g1 a 10 km STOREDIST g3 |
GEORADIUS g1 0 0 1 m STORE g2 | GEOSEARCHSTORE g3 n FROMLONLAT 0 0 BYRADIUS 1 m
GEOADD g1 13 38 a | GEORADIUS g1 13 38 1 km | GEORADIUSBYMEMBER g1 a 1 km | GEORADIUSBYMEMBER n a 1 km STORE g1
XADD x1 1-1 f v | XADD x1 1-* f v | XADD x1 NOMKSTREAM 2-0 f v | XADD x2 NOMKSTREAM 2-0 f v |
XADD x1 MAXLEN = 2 3-0 f v | XADD x1 MINID ~ 3 4-0 f v
XADD x1 * f v | DEL x1
XADD x1 1-0 f v | XADD x1 2-0 f v | XADD x1 3-0 f v | XDEL x1 2-0 | XDEL x1 9-0 | XTRIM x1 MAXLEN 1 |
XTRIM x1 MAXLEN 1 | XTRIM x1 MAXLEN ~ 0 | XTRIM x1 MINID 9
XADD x1 1-0 f v | XSETID x1 5-0 | XSETID x1 6-0 ENTRIESADDED 9 MAXDELETEDID 2-0 | XSETID x1 0-1 | XDEL x1 1-0
XGROUP CREATE x1 g1 $ MKSTREAM | XGROUP CREATE x1 g1 0 | XGROUP CREATECONSUMER x1 g1 a |
XGROUP CREATECONSUMER x1 g1 a | XGROUP SETID x1 g1 0 | XGROUP DELCONSUMER x1 g1 a | XGROUP DELCONSUMER x1 g1 n |
XGROUP DESTROY x1 g1 | XGROUP DESTROY x1 n
XADD x1 1-0 f v | XGROUP CREATE x1 g1 0 ENTRIESREAD 0 | XGROUP SETID x1 g1 1 ENTRIESREAD 1 |
XGROUP DELCONSUMER x1 n a | XGROUP DESTROY x1 g1
XADD x1 1-0 f v | XADD x1 2-0 f v | XGROUP CREATE x1 g1 0 | XGROUP CREATECONSUMER x1 g1 a |
XREADGROUP GROUP g1 a COUNT 1 STREAMS x1 > | XREADGROUP GROUP g1 a STREAMS x1 0 | XACK x1 g1 1-0 |
XACK x1 g1 1-0 | XREADGROUP GROUP g1 a NOACK STREAMS x1 > | XREADGROUP GROUP g1 a STREAMS x1 >
XADD x1 1-0 f v | XADD x1 2-0 f v | XGROUP CREATE x1 g1 0 | XGROUP CREATECONSUMER x1 g1 a |
XGROUP CREATECONSUMER x1 g1 b | XREADGROUP GROUP g1 a STREAMS x1 > | XCLAIM x1 g1 b 0 1-0 |
XCLAIM x1 g1 b 0 2-0 JUSTID | XCLAIM x1 g1 a 0 1-0 IDLE 0 RETRYCOUNT 5 FORCE LASTID 2-0 |
XAUTOCLAIM x1 g1 b 0 0 COUNT 1 | XAUTOCLAIM x1 g1 b 0 0 JUSTID
XADD x1 1-0 f v | XGROUP CREATE x1 g1 0 | XGROUP CREATECONSUMER x1 g1 a | XREADGROUP GROUP g1 a STREAMS x1 > |
XDEL x1 1-0 | XCLAIM x1 g1 a 0 1-0 | XAUTOCLAIM x1 g1 a 0 0 | XACK x1 g1 n 1-0
SET s1 a | SET s2 b | DEL s1 n s2 | DEL n | SET s1 a | UNLINK s1 n | UNLINK n
{GONE}DEL s1
{GONE}UNLINK s1
SET s1 a | RENAME s1 s2 | SET s1 b | RENAME s1 s2 | RENAMENX s2 s3 | SET s1 c | RENAMENX s1 s3 | RENAME s1 s1 |
RENAME n s1
SET s1 a | COPY s1 s2 | COPY s1 s2 | COPY s1 s2 REPLACE | COPY s1 s2 DB 1 | COPY n s2 | MOVE s1 1 | MOVE s2 1 |
MOVE n 1
{GONE}COPY s1 s2 | MOVE s1 1 | RENAME s1 s2
SET s1 a | EXPIRE s1 100 | PEXPIRE s1 100000 | EXPIREAT s1 {{far_s}} | PEXPIREAT s1 {{far}} | PERSIST s1 |
PERSIST s1 | EXPIRE s1 100 XX | EXPIRE s1 100 NX
SET s1 a | EXPIRE s1 100 NX | EXPIRE s1 50 GT | PEXPIRE s1 500000 GT | EXPIREAT s1 1 LT | PEXPIRE s1 1
SET s1 a | EXPIRE s1 -1 | SET s1 a | PEXPIRE s1 0 | SET s1 a | EXPIREAT s1 1 | SET s1 a | PEXPIREAT s1 1 |
PEXPIREAT n 1
{GONE}PERSIST s1
RESTORE s1 0 {{dump}} | RESTORE s1 0 {{dump}} | RESTORE s1 100000 {{dump}} REPLACE |
RESTORE s1 {{far}} {{dump}} ABSTTL REPLACE | RESTORE s1 1 {{dump}} ABSTTL REPLACE
RESTORE-ASKING s1 0 {{dump}} | RESTORE-ASKING s2 100000 {{dump}} REPLACE
FLUSHDB | SET s1 a | FLUSHDB | FLUSHALL | SET s1 a | FLUSHALL ASYNC | SELECT 1 | FLUSHDB sync
SET s1 a | SELECT 1 | SET s1 b | SWAPDB 0 1 | SWAPDB 2 2 | SET s2 c | SELECT 0 | SET s3 d | SWAPDB 15 14
MULTI | SET s1 a | INCR s2 | EXEC | MULTI | GET s1 | EXEC | MULTI | SET s1 b | EXEC | MULTI | SET s1 c | DISCARD
SELECT 1 | MULTI | SET s1 a | SELECT 2 | SET s1 b | SELECT 1 | EXEC | SET s2 c | MULTI | SPOP n | SADD t1 a |
SPOP t1 | EXEC
PUBLISH c m | SPUBLISH c m | MULTI | PUBLISH c m | SET s1 a | EXEC | PUBLISH d ""
EVAL "redis.call('SET', KEYS[1], 'a'); return redis.call('EXPIRE', KEYS[1], 100)" 1 s1 | EVAL "return 1" 0 |
EVAL "return redis.call('INCR', KEYS[1])" 1 s2
EVAL "redis.call('SELECT', '1'); redis.call('SET', KEYS[1], 'a')" 1 s1 | SET s2 b |
EVAL "redis.call('SET', KEYS[1], 'a'); return redis.call('NOSUCH')" 1 s3
EVAL "redis.set_repl(redis.REPL_NONE); redis.call('SET', KEYS[1], 'a'); redis.set_repl(redis.REPL_ALL); redis.call('DEL', KEYS[1]); return redis.call('SET', KEYS[2], 'b')" 2 s1 s2
MULTI | EVAL "redis.call('SET', KEYS[1], 'a'); return redis.call('INCRBYFLOAT', KEYS[2], '0.5')" 2 s1 s2 |
SET s3 c | EXEC
SCRIPT LOAD "return redis.call('SET', KEYS[1], ARGV[1])" |
EVALSHA d8f2fad9f8e86a53d2a6ebd960b33c4972cacc37 1 s1 a | SCRIPT FLUSH
SCRIPT LOAD "return redis.call('INCR', KEYS[1])" | EVALSHA 61636018f4e6b5817b89791bbed242f93fa089e3 1 s1 |
EVALSHA 11f6ad8ec52a2984abaafd7c3b516503785c2072 1 s1
FUNCTION LOAD "#!lua name=one\\nredis.register_function('write', function(k, a) redis.call('SET', k[1], 'a'); return redis.call('INCR', k[2]) end)" |
FCALL write 2 s1 s2 | FUNCTION DELETE one | FUNCTION DELETE one
FUNCTION LOAD "#!lua name=one\\nredis.register_function('f', function() return 1 end)" | FCALL f 0 |
FUNCTION LOAD REPLACE "#!lua name=one\\nredis.register_function('f', function() return 2 end)" | FUNCTION FLUSH |
FUNCTION FLUSH ASYNC | FUNCTION RESTORE x
FUNCTION RESTORE {{functions}} | FCALL f 0 | FUNCTION RESTORE {{functions}} |
FUNCTION RESTORE {{functions}} REPLACE | FUNCTION RESTORE {{functions}} FLUSH
MSET s1 a | MSET s1 b s1 c | DECR s1 | DECRBY s2 5 | DECR s2 | DECRBY s1 1 | HMSET h1 a 1 b 2 | HMSET h1 a 1
RPUSH l1 a b | BRPOP n l1 1 | BLMPOP 1 1 l1 RIGHT | BLMPOP 0.001 1 l1 LEFT | BRPOP l1 0.001 | SPUBLISH c m |
SPUBLISH d m
"""  # noqa: E501

MODERN: Final = """
HSET h1 a 1 b 2 | HEXPIRE h1 100 FIELDS 1 a | HPEXPIRE h1 100000 NX FIELDS 2 a b |
HEXPIREAT h1 {far_s} FIELDS 1 a | HPEXPIREAT h1 {far} FIELDS 1 n | HPERSIST h1 FIELDS 2 a b
HSET h1 a 1 b 2 | HEXPIRE h1 0 FIELDS 1 a | HPEXPIREAT h1 1 FIELDS 1 b | HPEXPIRE h1 100 FIELDS 1 a
HSET h1 a 1 b 2 | HEXPIREAT h1 1 FIELDS 2 a b | HPERSIST h1 FIELDS 1 a | HPERSIST h1 FIELDS 1 n
HSET h1 a 1 b 2 | HGETEX h1 EX 100 FIELDS 1 a | HGETEX h1 PERSIST FIELDS 1 a | HGETEX h1 FIELDS 1 a |
HGETEX h1 PXAT {far} FIELDS 2 b n
HSET h1 a 1 b 2 | HGETDEL h1 FIELDS 1 a | HGETDEL h1 FIELDS 1 n | HGETDEL h1 FIELDS 1 b
HSETEX h1 EX 100 FIELDS 1 a 1 | HSETEX h1 FNX FIELDS 1 a 2 | HSETEX h1 KEEPTTL FIELDS 1 a 3 |
HSETEX h1 FIELDS 1 a 4 | HSETEX h1 PXAT {far} FXX FIELDS 1 a 5
SET s1 a | SET s1 b IFEQ a | SET s1 c IFEQ x | DELIFEQ s1 x | DELIFEQ s1 b | DELIFEQ s1 b
XADD x1 1-0 f v | XGROUP CREATE x1 g1 0 | XREADGROUP GROUP g1 a STREAMS x1 > |
XREADGROUP GROUP g1 b STREAMS x1 > | XCLAIM x1 g1 c 100000000 1-0
"""
"""Forms that Redis 7.0 does not know, or not yet."""

_FUNCTIONS: Final = (
    b"\xf5@B#!lua name=r\nredis.register_function('f', function() return 1 end)\n\x00\x07z\xec\x91\xd3\x19\xcc\xc4"
)
_DUMP: Final = b"\x00\x05hello\t\x00\xb3\x80\x8e\xba1\xb2C\xbb"

_STANDING_FOR: Final = {
    "{far}": FAR_MS.encode(),
    "{far_s}": FAR_S.encode(),
    "{dump}": _DUMP,
    "{functions}": _FUNCTIONS,
}


def forms(text: str) -> list[list[Words]]:
    """The sequences of a text, a command as its words."""
    return [
        [_words(command) for command in line.split(" | ")] for line in text.strip().replace(" |\n", " | ").splitlines()
    ]


def _words(command: str) -> Words:
    found = []
    for word in shlex.split(command.replace("\\n", "\n")):
        found.append(_STANDING_FOR.get(word, word.encode()))
    return found
