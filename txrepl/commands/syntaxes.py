"""The arguments of every command that takes some, in the notation of `syntax`: facts that COMMAND DOCS gives.

Those of a subcommand stand under `container|subcommand`, as everywhere. What newer servers have and this one has too is
marked with the version that brought it.
"""

from __future__ import annotations

from typing import Final

SYNTAXES: Final[dict[str, str]] = {
    "acl|cat": "[category]",
    "acl|deluser": "username*",
    "acl|dryrun": "username command [arg*]",
    "acl|genpass": "[bits:integer]",
    "acl|getuser": "username",
    "acl|log": "[operation(count:integer | RESET)]",
    "acl|setuser": "username [rule*]",
    "append": "key#0 value",
    "auth": "[username@6.0.0] password",
    "bgsave": "[SCHEDULE@3.2.2]",
    "bitcount": "key#0 [index{start:integer end:integer [index_unit@7.0.0(BYTE | BIT)]}]",
    "bitfield": (
        "key#0 [operation(GET get-block{encoding offset:integer} | write{[OVERFLOW overflow-block(WRAP | "
        "SAT | FAIL)] write-operation(SET set-block{encoding offset:integer value:integer} | INCRBY "
        "incrby-block{encoding offset:integer increment:integer})})*]"
    ),
    "bitfield_ro": "key#0 [GET get-block{encoding offset:integer}**]",
    "bitop": "operation(AND | OR | XOR | NOT | DIFF@8.2.0 | DIFF1@8.2.0 | ANDOR@8.2.0 | ONE@8.2.0) destkey#0 key#1*",
    "bitpos": "key#0 bit:integer [range{start:integer [end-unit-block{end:integer [unit@7.0.0(BYTE | BIT)]}]}]",
    "blmove": "source#0 destination#1 wherefrom(LEFT | RIGHT) whereto(LEFT | RIGHT) timeout:double",
    "blmpop": "timeout:double numkeys:integer key#0* where(LEFT | RIGHT) [COUNT count:integer]",
    "blpop": "key#0* timeout:double",
    "brpop": "key#0* timeout:double",
    "brpoplpush": "source#0 destination#1 timeout:double",
    "bzmpop": "timeout:double numkeys:integer key#0* where(MIN | MAX) [COUNT count:integer]",
    "bzpopmax": "key#0* timeout:double",
    "bzpopmin": "key#0* timeout:double",
    "client|caching": "mode(YES | NO)",
    "client|capa": "capability*",
    "client|import-source": "enabled(ON | OFF)",
    "client|kill": (
        "filter(old-format=ip:port!2.8.12 | new-format([ID client-id:integer@2.8.12*] | [TYPE "
        "client-type@2.8.12(NORMAL | MASTER@3.2.0 | PRIMARY@8.0.0 | SLAVE | REPLICA@5.0.0 | PUBSUB)] | "
        "[USER username] | [ADDR addr=ip:port] | [LADDR laddr=ip:port@6.2.0] | [SKIPME skipme(YES | NO)] | "
        "[MAXAGE maxage:integer@8.0.0] | [NAME name@9.0.0] | [IDLE idle:integer@9.0.0] | [FLAGS "
        "flags@9.0.0] | [LIB-NAME lib-name@9.0.0] | [LIB-VER lib-ver@9.0.0] | [DB db:integer@9.0.0] | [CAPA "
        "capa@9.0.0] | [IP ip@9.0.0] | [NOT-TYPE not-client-type@9.0.0(NORMAL | MASTER | PRIMARY | SLAVE | "
        "REPLICA | PUBSUB)] | [NOT-ID not-client-id:integer@9.0.0*] | [NOT-USER not-username@9.0.0] | "
        "[NOT-ADDR not-addr=ip:port@9.0.0] | [NOT-LADDR not-laddr=ip:port@9.0.0] | [NOT-NAME "
        "not-name@9.0.0] | [NOT-FLAGS not-flags@9.0.0] | [NOT-LIB-NAME not-lib-name@9.0.0] | [NOT-LIB-VER "
        "not-lib-ver@9.0.0] | [NOT-DB not-db:integer@9.0.0] | [NOT-CAPA not-capa@9.0.0] | [NOT-IP "
        "not-ip@9.0.0])*)"
    ),
    "client|list": (
        "[TYPE client-type@5.0.0(NORMAL | MASTER | REPLICA | PUBSUB)] [ID client-id:integer@6.2.0*] [USER "
        "username@8.1.0] [ADDR addr=ip:port@8.1.0] [LADDR laddr=ip:port@8.1.0] [SKIPME skipme@8.1.0(YES | "
        "NO)] [MAXAGE maxage:integer@8.1.0] [NAME name@9.0.0] [IDLE idle:integer@9.0.0] [FLAGS flags@9.0.0] "
        "[LIB-NAME lib-name@9.0.0] [LIB-VER lib-ver@9.0.0] [DB db:integer@9.0.0] [CAPA capa@9.0.0] [IP "
        "ip@9.0.0] [NOT-TYPE not-client-type@9.0.0(NORMAL | MASTER | REPLICA | PUBSUB)] [NOT-ID "
        "not-client-id:integer@9.0.0*] [NOT-USER not-username@9.0.0] [NOT-ADDR not-addr=ip:port@9.0.0] "
        "[NOT-LADDR not-laddr=ip:port@9.0.0] [NOT-NAME not-name@9.0.0] [NOT-FLAGS not-flags@9.0.0] "
        "[NOT-LIB-NAME not-lib-name@9.0.0] [NOT-LIB-VER not-lib-ver@9.0.0] [NOT-DB not-db:integer@9.0.0] "
        "[NOT-CAPA not-capa@9.0.0] [NOT-IP not-ip@9.0.0]"
    ),
    "client|no-evict": "enabled(ON | OFF)",
    "client|no-touch": "enabled(ON | OFF)",
    "client|pause": "timeout:integer [mode@6.2.0(WRITE | ALL)]",
    "client|reply": "action(ON | OFF | SKIP)",
    "client|setinfo": "attr(LIB-NAME libname | LIB-VER libver)",
    "client|setname": "connection-name",
    "client|tracking": (
        "status(ON | OFF) [REDIRECT client-id:integer] [PREFIX prefix**] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]"
    ),
    "client|unblock": "client-id:integer [unblock-type(TIMEOUT | ERROR)]",
    "cluster|addslots": "slot:integer*",
    "cluster|addslotsrange": "range{start-slot:integer end-slot:integer}*",
    "cluster|count-failure-reports": "node-id",
    "cluster|countkeysinslot": "slot:integer",
    "cluster|delslots": "slot:integer*",
    "cluster|delslotsrange": "range{start-slot:integer end-slot:integer}*",
    "cluster|failover": "[options(FORCE | TAKEOVER)]",
    "cluster|forget": "node-id",
    "cluster|getkeysinslot": "slot:integer count:integer",
    "cluster|keyslot": "key",
    "cluster|meet": "ip port:integer [cluster-bus-port:integer@4.0.0]",
    "cluster|replicas": "node-id",
    "cluster|replicate": "node-id",
    "cluster|reset": "[reset-type(HARD | SOFT)]",
    "cluster|set-config-epoch": "config-epoch:integer",
    "cluster|setslot": "slot:integer subcommand(IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE)",
    "cluster|slaves": "node-id",
    "command|docs": "[command-name*]",
    "command|getkeys": "command [arg*]",
    "command|getkeysandflags": "command [arg*]",
    "command|info": "[command-name*]",
    "command|list": "[FILTERBY filterby(MODULE module-name | ACLCAT category | PATTERN pattern:pattern)]",
    "config|get": "parameter*",
    "config|set": "data{parameter value}*",
    "copy": "source#0 destination#1 [DB destination-db:integer] [REPLACE]",
    "decr": "key#0",
    "decrby": "key#0 decrement:integer",
    "del": "key#0*",
    "delex": "key#0 [condition(IFEQ value | IFNE value | IFDEQ digest | IFDNE digest)]",
    "delifeq": "key#0 value",
    "digest": "key#0",
    "dump": "key#0",
    "echo": "message",
    "eval": "script numkeys:integer [key#0*] [arg*]",
    "eval_ro": "script numkeys:integer [key#0*] [arg*]",
    "evalsha": "sha1 numkeys:integer [key#0*] [arg*]",
    "evalsha_ro": "sha1 numkeys:integer [key#0*] [arg*]",
    "exists": "key#0*",
    "expire": "key#0 seconds:integer [condition@7.0.0(NX | XX | GT | LT)]",
    "expireat": "key#0 unix-time-seconds:unix-time [condition@7.0.0(NX | XX | GT | LT)]",
    "expiretime": "key#0",
    "failover": "[TO target{host port:integer [FORCE]}] [ABORT] [TIMEOUT milliseconds:integer]",
    "fcall": "function numkeys:integer [key#0*] [arg*]",
    "fcall_ro": "function numkeys:integer [key#0*] [arg*]",
    "flushall": "[flush-type(ASYNC@4.0.0 | SYNC@6.2.0)]",
    "flushdb": "[async(ASYNC@4.0.0 | SYNC@6.2.0)]",
    "function|delete": "library-name",
    "function|flush": "[flush-type(ASYNC | SYNC)]",
    "function|list": "[LIBRARYNAME library-name-pattern] [WITHCODE]",
    "function|load": "[REPLACE] function-code",
    "function|restore": "serialized-value [policy(FLUSH | APPEND | REPLACE)]",
    "geoadd": "key#0 [condition@6.2.0(NX | XX)] [CH=change@6.2.0] data{longitude:double latitude:double member}*",
    "geodist": "key#0 member1 member2 [unit(M | KM | FT | MI)]",
    "geohash": "key#0 [member*]",
    "geopos": "key#0 [member*]",
    "georadius": (
        "key#0 longitude:double latitude:double radius:double unit(M | KM | FT | MI) [WITHCOORD] [WITHDIST] "
        "[WITHHASH] [count-block{COUNT count:integer [ANY@6.2.0]}] [order(ASC | DESC)] [store(STORE "
        "storekey#1=key | STOREDIST storedistkey#2=key)]"
    ),
    "georadius_ro": (
        "key#0 longitude:double latitude:double radius:double unit(M | KM | FT | MI) [WITHCOORD] [WITHDIST] "
        "[WITHHASH] [count-block{COUNT count:integer [ANY@6.2.0]}] [order(ASC | DESC)]"
    ),
    "georadiusbymember": (
        "key#0 member radius:double unit(M | KM | FT | MI) [WITHCOORD] [WITHDIST] [WITHHASH] "
        "[count-block{COUNT count:integer [ANY]}] [order(ASC | DESC)] [store(STORE storekey#1=key | "
        "STOREDIST storedistkey#2=key)]"
    ),
    "georadiusbymember_ro": (
        "key#0 member radius:double unit(M | KM | FT | MI) [WITHCOORD] [WITHDIST] [WITHHASH] "
        "[count-block{COUNT count:integer [ANY]}] [order(ASC | DESC)]"
    ),
    "geosearch": (
        "key#0 [from(FROMMEMBER member | FROMLONLAT fromlonlat{longitude:double latitude:double})] "
        "by(circle{BYRADIUS radius:double unit(M | KM | FT | MI)} | box{BYBOX width:double height:double "
        "unit(M | KM | FT | MI)} | polygon@9.0.0{BYPOLYGON num-vertices:integer vertices{longitude:double "
        "latitude:double}*}) [order(ASC | DESC)] [count-block{COUNT count:integer [ANY]}] [WITHCOORD] "
        "[WITHDIST] [WITHHASH]"
    ),
    "geosearchstore": (
        "destination#0 source#1 [from(FROMMEMBER member | FROMLONLAT fromlonlat{longitude:double "
        "latitude:double})] by(circle{BYRADIUS radius:double unit(M | KM | FT | MI)} | box{BYBOX "
        "width:double height:double unit(M | KM | FT | MI)} | polygon@9.0.0{BYPOLYGON num-vertices:integer "
        "vertices{longitude:double latitude:double}*}) [order(ASC | DESC)] [count-block{COUNT count:integer "
        "[ANY]}] [STOREDIST]"
    ),
    "get": "key#0",
    "getbit": "key#0 offset:integer",
    "getdel": "key#0",
    "getex": (
        "key#0 [expiration(EX seconds:integer | PX milliseconds:integer | EXAT unix-time-seconds:unix-time "
        "| PXAT unix-time-milliseconds:unix-time | PERSIST)]"
    ),
    "getrange": "key#0 start:integer end:integer",
    "getset": "key#0 value",
    "hdel": "key#0 field*",
    "hello": "[arguments{protover:integer [AUTH auth{username password}] [SETNAME clientname]}]",
    "hexists": "key#0 field",
    "hexpire": "key#0 seconds:integer [condition(NX | XX | GT | LT)] FIELDS fields{numfields:integer field*}",
    "hexpireat": (
        "key#0 unix-time-seconds:integer [condition@9.0.0(NX | XX | GT | LT)] FIELDS fields{numfields:integer#0 field*}"
    ),
    "hexpiretime": "key#0 FIELDS fields{numfields:integer#0 field*}",
    "hget": "key#0 field",
    "hgetall": "key#0",
    "hgetdel": "key#0 FIELDS fields{numfields:integer#0 field*}",
    "hgetex": (
        "key#0 [expiration(EX seconds:integer | PX milliseconds:integer | EXAT unix-time-seconds:unix-time "
        "| PXAT unix-time-milliseconds:unix-time | PERSIST)] FIELDS fields{numfields:integer#0 field*}"
    ),
    "hincrby": "key#0 field increment:integer",
    "hincrbyfloat": "key#0 field increment:double",
    "hkeys": "key#0",
    "hlen": "key#0",
    "hmget": "key#0 field*",
    "hmset": "key#0 data{field value}*",
    "hpersist": "key#0 FIELDS fields{numfields:integer#0 field*}",
    "hpexpire": (
        "key#0 milliseconds:integer [condition@9.0.0(NX | XX | GT | LT)] FIELDS fields{numfields:integer#0 field*}"
    ),
    "hpexpireat": (
        "key#0 unix-time-milliseconds:integer [condition@9.0.0(NX | XX | GT | LT)] FIELDS "
        "fields{numfields:integer#0 field*}"
    ),
    "hpexpiretime": "key#0 FIELDS fields{numfields:integer#0 field*}",
    "hpttl": "key#0 FIELDS fields{numfields:integer#0 field*}",
    "hrandfield": "key#0 [options{count:integer [WITHVALUES]}]",
    "hscan": "key#0 cursor:integer [MATCH pattern:pattern] [COUNT count:integer] [NOVALUES]",
    "hset": "key#0 data{field value}*",
    "hsetex": (
        "key#0 [key-condition(NX | XX)] [fields-condition(FNX | FXX)] [expiration(EX seconds:integer | PX "
        "milliseconds:integer | EXAT unix-time-seconds:unix-time | PXAT unix-time-milliseconds:unix-time | "
        "KEEPTTL)] FIELDS fields{numfields:integer#0 data{field value}*}"
    ),
    "hsetnx": "key#0 field value",
    "hstrlen": "key#0 field",
    "httl": "key#0 FIELDS fields{numfields:integer#0 field*}",
    "hvals": "key#0",
    "incr": "key#0",
    "incrby": "key#0 increment:integer",
    "incrbyfloat": "key#0 increment:double",
    "info": "[section*]",
    "keys": "pattern:pattern",
    "latency|graph": "event",
    "latency|histogram": "[command*]",
    "latency|history": "event",
    "latency|reset": "[event*]",
    "lcs": "key1#0 key2#0 [LEN] [IDX] [MINMATCHLEN min-match-len:integer] [WITHMATCHLEN]",
    "lindex": "key#0 index:integer",
    "linsert": "key#0 where(BEFORE | AFTER) pivot element",
    "llen": "key#0",
    "lmove": "source#0 destination#1 wherefrom(LEFT | RIGHT) whereto(LEFT | RIGHT)",
    "lmpop": "numkeys:integer key#0* where(LEFT | RIGHT) [COUNT count:integer]",
    "lolwut": "[VERSION version:integer]",
    "lpop": "key#0 [count:integer@6.2.0]",
    "lpos": "key#0 element [RANK rank:integer] [COUNT num-matches:integer] [MAXLEN len:integer]",
    "lpush": "key#0 element*",
    "lpushx": "key#0 element*",
    "lrange": "key#0 start:integer stop:integer",
    "lrem": "key#0 count:integer element",
    "lset": "key#0 index:integer element",
    "ltrim": "key#0 start:integer stop:integer",
    "memory|usage": "key#0 [SAMPLES count:integer]",
    "mget": "key#0*",
    "migrate": (
        "host port:integer key-selector(key#0 | ''=empty-string) destination-db:integer timeout:integer "
        "[COPY@3.0.0] [REPLACE@3.0.0] [authentication(AUTH auth=password@4.0.7 | AUTH2 auth2@6.0.0{username "
        "password})] [KEYS keys#1=key@3.0.6*]"
    ),
    "module|load": "path [arg*]",
    "module|loadex": "path [CONFIG configs{name value}**] [ARGS args{arg}*]",
    "module|unload": "name",
    "move": "key#0 db:integer",
    "mset": "data{key#0 value}*",
    "msetex": (
        "numkeys:integer data{key#0 value}* [condition(NX | XX)] [expiration(EX seconds:integer | PX "
        "milliseconds:integer | EXAT unix-time-seconds:unix-time | PXAT unix-time-milliseconds:unix-time | "
        "KEEPTTL)]"
    ),
    "msetnx": "data{key#0 value}*",
    "object|encoding": "key#0",
    "object|freq": "key#0",
    "object|idletime": "key#0",
    "object|refcount": "key#0",
    "persist": "key#0",
    "pexpire": "key#0 milliseconds:integer [condition@7.0.0(NX | XX | GT | LT)]",
    "pexpireat": "key#0 unix-time-milliseconds:unix-time [condition@7.0.0(NX | XX | GT | LT)]",
    "pexpiretime": "key#0",
    "pfadd": "key#0 [element*]",
    "pfcount": "key#0*",
    "pfdebug": "subcommand key#0",
    "pfmerge": "destkey#0 [sourcekey#1*]",
    "ping": "[message]",
    "psetex": "key#0 milliseconds:integer value",
    "psubscribe": "pattern:pattern*",
    "psync": "replicationid offset:integer",
    "pttl": "key#0",
    "publish": "channel message",
    "pubsub|channels": "[pattern:pattern]",
    "pubsub|numsub": "[channel*]",
    "pubsub|shardchannels": "[pattern:pattern]",
    "pubsub|shardnumsub": "[shardchannel*]",
    "punsubscribe": "[pattern:pattern*]",
    "rename": "key#0 newkey#1",
    "renamenx": "key#0 newkey#1",
    "replicaof": "args(host-port{host port:integer} | no-one{NO ONE})",
    "restore": (
        "key#0 ttl:integer serialized-value [REPLACE@3.0.0] [ABSTTL@5.0.0] [IDLETIME seconds:integer@5.0.0] "
        "[FREQ frequency:integer@5.0.0]"
    ),
    "restore-asking": (
        "key#0 ttl:integer serialized-value [REPLACE@3.0.0] [ABSTTL@5.0.0] [IDLETIME seconds:integer@5.0.0] "
        "[FREQ frequency:integer@5.0.0]"
    ),
    "rpop": "key#0 [count:integer@6.2.0]",
    "rpoplpush": "source#0 destination#1",
    "rpush": "key#0 element*",
    "rpushx": "key#0 element*",
    "sadd": "key#0 member*",
    "scan": "cursor:integer [MATCH pattern:pattern] [COUNT count:integer] [TYPE type@6.0.0]",
    "scard": "key#0",
    "script|debug": "mode(YES | SYNC | NO)",
    "script|exists": "sha1*",
    "script|flush": "[flush-type@6.2.0(ASYNC | SYNC)]",
    "script|load": "script",
    "sdiff": "key#0*",
    "sdiffstore": "destination#0 key#1*",
    "select": "index:integer",
    "set": (
        "key#0 value [condition@2.6.12(NX | XX | IFEQ comparison-value@8.1.0 | IFNE comparison-value@8.4.0 "
        "| IFDEQ digest@8.4.0 | IFDNE digest@8.4.0)] [GET@6.2.0] [expiration(EX seconds:integer@2.6.12 | PX "
        "milliseconds:integer@2.6.12 | EXAT unix-time-seconds:unix-time@6.2.0 | PXAT "
        "unix-time-milliseconds:unix-time@6.2.0 | KEEPTTL@6.0.0)]"
    ),
    "setbit": "key#0 offset:integer value:integer",
    "setex": "key#0 seconds:integer value",
    "setnx": "key#0 value",
    "setrange": "key#0 offset:integer value",
    "shutdown": "[nosave_save(NOSAVE | SAVE)] [NOW@7.0.0] [FORCE@7.0.0] [ABORT@7.0.0]",
    "sinter": "key#0*",
    "sintercard": "numkeys:integer key#0* [LIMIT limit:integer]",
    "sinterstore": "destination#0 key#1*",
    "sismember": "key#0 member",
    "slaveof": "args(host-port{host port:integer} | no-one{NO ONE})",
    "slowlog|get": "[count:integer]",
    "smembers": "key#0",
    "smismember": "key#0 member*",
    "smove": "source#0 destination#1 member",
    "sort": (
        "key#0 [BY by-pattern:pattern#1=pattern] [LIMIT limit{offset:integer count:integer}] [GET "
        "get-pattern:pattern#1=pattern**] [order(ASC | DESC)] [ALPHA=sorting] [STORE destination#2]"
    ),
    "sort_ro": (
        "key#0 [BY by-pattern:pattern#1=pattern] [LIMIT limit{offset:integer count:integer}] [GET "
        "get-pattern:pattern#1=pattern**] [order(ASC | DESC)] [ALPHA=sorting]"
    ),
    "spop": "key#0 [count:integer@3.2.0]",
    "spublish": "shardchannel message",
    "srandmember": "key#0 [count:integer@2.6.0]",
    "srem": "key#0 member*",
    "sscan": "key#0 cursor:integer [MATCH pattern:pattern] [COUNT count:integer]",
    "ssubscribe": "shardchannel*",
    "strlen": "key#0",
    "subscribe": "channel*",
    "substr": "key#0 start:integer end:integer",
    "sunion": "key#0*",
    "sunionstore": "destination#0 key#1*",
    "sunsubscribe": "[shardchannel*]",
    "swapdb": "index1:integer index2:integer",
    "touch": "key#0*",
    "ttl": "key#0",
    "type": "key#0",
    "unlink": "key#0*",
    "unsubscribe": "[channel*]",
    "wait": "numreplicas:integer timeout:integer",
    "waitaof": "numlocal:integer numreplicas:integer timeout:integer",
    "watch": "key#0*",
    "xack": "key#0 group id*",
    "xadd": (
        "key#0 [NOMKSTREAM@6.2.0] [condition@8.2.0(KEEPREF | DELREF | ACKED)] [trim{strategy(MAXLEN | MINID@6.2.0) "
        "[operator('='=equal | '~'=approximately)] threshold [LIMIT count:integer@6.2.0]}] "
        "id-selector('*'=auto-id | id) data{field value}*"
    ),
    "xautoclaim": "key#0 group consumer min-idle-time start [COUNT count:integer] [JUSTID]",
    "xclaim": (
        "key#0 group consumer min-idle-time id* [IDLE ms:integer] [TIME unix-time-milliseconds:unix-time] "
        "[RETRYCOUNT count:integer] [FORCE] [JUSTID] [LASTID lastid]"
    ),
    "xdel": "key#0 id*",
    "xgroup|create": (
        "key#0 group id-selector(id | '$'=new-id) [MKSTREAM] [ENTRIESREAD entriesread:integer=entries-read]"
    ),
    "xgroup|createconsumer": "key#0 group consumer",
    "xgroup|delconsumer": "key#0 group consumer",
    "xgroup|destroy": "key#0 group",
    "xgroup|setid": "key#0 group id-selector(id | '$'=new-id) [ENTRIESREAD entriesread:integer=entries-read]",
    "xinfo|consumers": "key#0 group",
    "xinfo|groups": "key#0",
    "xinfo|stream": "key#0 [full-block{FULL [COUNT count:integer]}]",
    "xlen": "key#0",
    "xpending": "key#0 group [filters{[IDLE min-idle-time:integer@6.2.0] start end count:integer [consumer]}]",
    "xrange": "key#0 start end [COUNT count:integer]",
    "xread": "[COUNT count:integer] [BLOCK milliseconds:integer] STREAMS streams{key#0* id*}",
    "xreadgroup": (
        "GROUP group-block{group consumer} [COUNT count:integer] [BLOCK milliseconds:integer] [NOACK] "
        "STREAMS streams{key#0* id*}"
    ),
    "xrevrange": "key#0 end start [COUNT count:integer]",
    "xsetid": "key#0 last-id [ENTRIESADDED entries-added:integer@7.0.0] [MAXDELETEDID max-deleted-id@7.0.0]",
    "xtrim": (
        "key#0 trim{strategy(MAXLEN | MINID@6.2.0) [operator('='=equal | '~'=approximately)] threshold "
        "[LIMIT count:integer@6.2.0] [condition@8.2.0(KEEPREF | DELREF | ACKED)]}"
    ),
    "xackdel": "key#0 group [condition(KEEPREF | DELREF | ACKED)] ids{IDS numids:integer id*}",
    "xdelex": "key#0 [condition(KEEPREF | DELREF | ACKED)] ids{IDS numids:integer id*}",
    "zadd": (
        "key#0 [condition@3.0.2(NX | XX)] [comparison@6.2.0(GT | LT)] [CH=change@3.0.2] "
        "[INCR=increment@3.0.2] data{score:double member}*"
    ),
    "zcard": "key#0",
    "zcount": "key#0 min:double max:double",
    "zdiff": "numkeys:integer key#0* [WITHSCORES]",
    "zdiffstore": "destination#0 numkeys:integer key#1*",
    "zincrby": "key#0 increment:integer member",
    "zinter": "numkeys:integer key#0* [WEIGHTS weight:integer*] [AGGREGATE aggregate(SUM | MIN | MAX)] [WITHSCORES]",
    "zintercard": "numkeys:integer key#0* [LIMIT limit:integer]",
    "zinterstore": (
        "destination#0 numkeys:integer key#1* [WEIGHTS weight:integer*] [AGGREGATE aggregate(SUM | MIN | MAX)]"
    ),
    "zlexcount": "key#0 min max",
    "zmpop": "numkeys:integer key#0* where(MIN | MAX) [COUNT count:integer]",
    "zmscore": "key#0 member*",
    "zpopmax": "key#0 [count:integer]",
    "zpopmin": "key#0 [count:integer]",
    "zrandmember": "key#0 [options{count:integer [WITHSCORES]}]",
    "zrange": (
        "key#0 start stop [sortby@6.2.0(BYSCORE | BYLEX)] [REV@6.2.0] [LIMIT limit@6.2.0{offset:integer "
        "count:integer}] [WITHSCORES]"
    ),
    "zrangebylex": "key#0 min max [LIMIT limit{offset:integer count:integer}]",
    "zrangebyscore": "key#0 min:double max:double [WITHSCORES@2.0.0] [LIMIT limit{offset:integer count:integer}]",
    "zrangestore": "dst#0 src#1 min max [sortby(BYSCORE | BYLEX)] [REV] [LIMIT limit{offset:integer count:integer}]",
    "zrank": "key#0 member [WITHSCORE]",
    "zrem": "key#0 member*",
    "zremrangebylex": "key#0 min max",
    "zremrangebyrank": "key#0 start:integer stop:integer",
    "zremrangebyscore": "key#0 min:double max:double",
    "zrevrange": "key#0 start:integer stop:integer [WITHSCORES]",
    "zrevrangebylex": "key#0 max min [LIMIT limit{offset:integer count:integer}]",
    "zrevrangebyscore": "key#0 max:double min:double [WITHSCORES] [LIMIT limit{offset:integer count:integer}]",
    "zrevrank": "key#0 member [WITHSCORE]",
    "zscan": "key#0 cursor:integer [MATCH pattern:pattern] [COUNT count:integer] [NOSCORES]",
    "zscore": "key#0 member",
    "zunion": "numkeys:integer key#0* [WEIGHTS weight:integer*] [AGGREGATE aggregate(SUM | MIN | MAX)] [WITHSCORES]",
    "zunionstore": (
        "destination#0 numkeys:integer key#1* [WEIGHTS weight:integer*] [AGGREGATE aggregate(SUM | MIN | MAX)]"
    ),
}

DEPRECATED: Final[dict[str, tuple[str, str]]] = {
    "brpoplpush": ("6.2.0", "`BLMOVE … RIGHT LEFT`"),
    "cluster|slaves": ("5.0.0", "`CLUSTER REPLICAS`"),
    "cluster|slots": ("7.0.0", "`CLUSTER SHARDS`"),
    "georadius": ("6.2.0", "`GEOSEARCH … BYRADIUS`, `GEOSEARCHSTORE … BYRADIUS`"),
    "georadius_ro": ("6.2.0", "`GEOSEARCH … BYRADIUS`"),
    "georadiusbymember": ("6.2.0", "`GEOSEARCH … FROMMEMBER … BYRADIUS`, `GEOSEARCHSTORE` likewise"),
    "georadiusbymember_ro": ("6.2.0", "`GEOSEARCH … FROMMEMBER … BYRADIUS`"),
    "getset": ("6.2.0", "`SET … GET`"),
    "hmset": ("4.0.0", "`HSET`, which takes several fields"),
    "rpoplpush": ("6.2.0", "`LMOVE … RIGHT LEFT`"),
    "slaveof": ("5.0.0", "`REPLICAOF`"),
    "substr": ("2.0.0", "`GETRANGE`"),
    "zrangebylex": ("6.2.0", "`ZRANGE … BYLEX`"),
    "zrangebyscore": ("6.2.0", "`ZRANGE … BYSCORE`"),
    "zrevrange": ("6.2.0", "`ZRANGE … REV`"),
    "zrevrangebylex": ("6.2.0", "`ZRANGE … BYLEX REV`"),
    "zrevrangebyscore": ("6.2.0", "`ZRANGE … BYSCORE REV`"),
}
"""Since when a command is deprecated, and the words that stand for it."""

SYSTEM: Final = frozenset(("debug", "pfdebug", "pfselftest", "replconf", "restore-asking"))
"""What servers and their tests say to each other, and nobody else (`syscmd`)."""
