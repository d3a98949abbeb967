-- Scripts that are run one after another by a live server and by txrepl, each after the line that ends the one before.
---
return foo.bar.baz
---
local a; a.b=1
---
return {
---
#!lua flags=x
return 1
---
#!lua  flags=no-writes
return 1
---
#!lua flags=
return 1
---
#!lua
---
#!python
---
#!lua nam=3
return 2
---
#!luax
return 2
---
return ...
---
return redis.call('foo')
---
return redis.call('get')
---
return redis.call('set','x','y')
---
return redis.call('lpush','x','y')
---
return redis.call()
---
return redis.call({})
---
return redis.call('subscribe','x')
---
return redis.pcall('foo')
---
return {pcall(redis.call,'foo')}
---
return {pcall(redis.call,'lpush','x','y')}
---
return redis.pcall()
---
return {1,2,nil,3}
---
return {err='X y'}
---
return {err='Xy'}
---
return {{err='Xy'},{ok='a'}}
---
return {ok='X\r\ny'}
---
return redis.error_reply('a b')
---
return redis.error_reply('ab')
---
return redis.error_reply('-ab')
---
return redis.error_reply('-a b\r\nc')
---
return redis.error_reply()
---
return redis.status_reply(1)
---
return 3.99
---
return -3.99
---
return 1e300
---
return 0/0
---
return {1e20,-1e300}
---
return redis.sha1hex('')
---
return redis.sha1hex()
---
return redis.sha1hex({})
---
return redis.sha1hex(1)
---
return redis.call('get',function() end)
---
return redis.call('set','k',1.5,nil)
---
return redis.call('script','load','x')
---
return redis.call('nosuch','x')
---
return redis.call('client','foo')
---
return redis.call('object','foo')
---
return redis.call('set',1.1,1e20)
---
return redis.call('echo',1e15)
---
return redis.call('echo',0.1)
---
return redis.call('echo',-0)
---
return redis.call('echo',1/0)
---
return redis.log(1)
---
return redis.log('a','b')
---
return redis.log(9,'b')
---
return redis.log(redis.LOG_WARNING,'b',{},1.5)
---
return redis.setresp(4)
---
return redis.setresp()
---
return redis.setresp('3')
---
return redis.set_repl()
---
return redis.set_repl(7)
---
return redis.set_repl(redis.REPL_ALL)
---
return {redis.REPL_NONE,redis.REPL_AOF,redis.REPL_SLAVE,redis.REPL_REPLICA,redis.REPL_ALL,redis.LOG_DEBUG,redis.LOG_VERBOSE,redis.LOG_NOTICE,redis.LOG_WARNING}
---
return {tostring(redis.breakpoint()), tostring(redis.debug('a')),tostring(redis.replicate_commands())}
---
return redis.acl_check_cmd('set','x','y')
---
return redis.acl_check_cmd('setx','x','y')
---
return redis.acl_check_cmd()
---
return redis.foo
---
return redis.foo()
---
return math.foo
---
return type(cjson.null)
---
return {math.random(1,10),math.random(1,1000),math.random(1,100000)}
---
math.randomseed(7) return {math.random(1,10),math.random(1,1000),math.random(1,100000), tostring(math.random())}
---
return math.random(0)
---
return math.random(1,2,3)
---
return tostring(1e15)..tostring(1/3)..tostring(2^53)
---
return {pcall(error,{err='a b'})}
---
return {pcall(error,{1,2})}
---
return {pcall(error,{err=5})}
---
return {pcall(error,'a')}
---
return {pcall(error)}
---
return {xpcall(function() error('x') end, function(e) return e..'!' end)}
---
return xpcall(function() redis.call('foo') end, function(e) return type(e) end) and 1 or 0
---
local a,b=xpcall(function() redis.call('foo') end, function(e) return e end) return b
---
local a,b=xpcall(function() redis.call('foo') end, function(e) return e end) return b.source
---
local b=redis.pcall('foo') local t={} for k,v in pairs(b) do t[#t+1]=k..'='..tostring(v) end table.sort(t) return t
---
local b=redis.pcall('lpush','x') local t={} for k,v in pairs(b) do t[#t+1]=k..'='..tostring(v) end table.sort(t) return t
---
local b=redis.pcall('lpush','x','z') local t={} for k,v in pairs(b) do t[#t+1]=k..'='..tostring(v) end table.sort(t) return t
---
local b=redis.pcall() local t={} for k,v in pairs(b) do t[#t+1]=k..'='..tostring(v) end table.sort(t) return t
---
local function f() return f() + 1 end return f()
---
local s='' for i=1,30 do s=s..'x' end return s:rep(3)
---
return tostring(print)
---
dofile('x')
---
load('x')
---
return load(function() return nil end)
---
return loadstring('return 5')()
---
return loadstring('foo=5')()
---
local a,b=loadstring('fo o') return b
---
local a,b=loadstring('fo o','@x') return b
---
local a,b=load(function() return nil end,'=x') return {type(a),b}
---
return getmetatable('').__index == string
---
return collectgarbage('count') > 0
---
return tostring(collectgarbage())
---
return gcinfo()>0
---
return coroutine.wrap(function() return 3 end)()
---
return coroutine.wrap(function() return redis.call('ping') end)()
---
return coroutine.wrap(function() return redis.call('foo') end)()
---
local co=coroutine.create(function() coroutine.yield(1) error('x') end) return {coroutine.resume(co),coroutine.resume(co)}
---
error('two
lines')
---
return {map={a=1}}
---
return {set={a=true}}
---
return {double=3.5}
---
return {big_number='123'}
---
return {verbatim_string={format='txt',string='abc'}}
---
return true
---
return false
---
return nil
---
return function() end
---
return {true,false,function() end,1}
---
redis.setresp(3) return true
---
redis.setresp(3) return {true,false}
---
redis.call('hset','h','a','1') redis.setresp(3) return redis.call('hgetall','h')
---
redis.setresp(3) local r=redis.call('hgetall','h') return {type(r.map), r.map.a}
---
redis.call('zadd','z',1.5,'a') redis.setresp(3) local r=redis.call('zscore','z','a') return {type(r), tostring(r.double)}
---
redis.setresp(3) return redis.call('zscore','z','a')
---
redis.setresp(3) return redis.call('get','nokey')==nil
---
return redis.call('get','nokey')==false
---
redis.setresp(3) return redis.call('info','server').verbatim_string.format
---
redis.setresp(3) redis.call('sadd','s','m') return redis.call('smembers','s')
---
redis.setresp(3) redis.call('sadd','s','m') return tostring(redis.call('smembers','s').set.m)
---
return redis.call('blpop','nol',0)
---
return redis.call('xread','block',0,'streams','nost','$')
---
return redis.call('multi')
---
return redis.call('eval','return 1',0)
---
return redis.call('debug','jmap')
---
return redis.call('wait',1,0)
---
return redis.call('select',3)
---
return redis.call('publish','a','b')
---
return redis.call('auth','a')
---
return redis.call('hello','3')
---
return redis.call('client','id')
---
return redis.call('PING')
---
return redis.call('ping','a','b','c')
---
error()
---
error(nil)
---
error(false)
---
return 'x',2
---
KEYS[1]=3 ARGV[1]=4 return {KEYS[1],ARGV[1]}
---
local call=redis.call return call('foo')
---
local call=redis.call local function f() return call('foo') end return f()
---
local call=redis.call local function f() local function g() return call('foo') end return g() end
return f()
---
local function f(n) if n==0 then return 'done' end return f(n-1) end return f(100000)
---
local t={} for i=1,3 do t[i]=redis.call end return t[2]('foo')
---
local f=cjson.decode return f('[')
---
return coroutine.wrap(function() error('x') end)()
---
return coroutine.wrap(function() error({err='a b'}) end)()
---
return (function() return redis.call('foo') end)()
---
local f=function(...) return select('#',...) end return f(redis.call('mget','a','b'))
---
return pcall(redis.call)
---
local ok,e=pcall(redis.call) return e
---
local t=setmetatable({},{__index=function(t,k) return k..'!' end}) return t.abc
---
local t=setmetatable({},{__call=function(self,a) return a end}) return t(5)
---
local s='a,b,c' local r={} for w in s:gmatch('[^,]+') do r[#r+1]=w end return r
---
return {string.format('%5.2f|%d|%s|%q',1.234,5,'x','a"b')}
---
return table.concat({1,2,3},'-')
---
return table.concat({1,{},3},'-')
---
local t={3,1,2} table.sort(t) return t
---
local t={3,1,2} table.sort(t,function(a,b) return a>b end) return t
---
local t={3,1,'x'} table.sort(t) return t
---
local t={1,2,3} table.remove(t,1) return t
---
local t={1,2,3} return table.remove(t)
---
return table.remove({})==nil
---
local t={} table.insert(t) return 1
---
local t={} table.insert(t,'x','y') return 1
---
local t={} table.insert(t,1,'y',3) return 1
---
table.insert(nil,1)
---
return #table
---
for k in pairs(nil) do end
---
for k in next,nil do end
---
for k,v in ipairs() do end
---
rawset(1,2,3)
---
rawset({},nil,3)
---
rawset({})
---
return rawget({5},1)
---
return rawget(redis,'REPL_ALL')
---
return rawequal(redis,redis)
---
setmetatable({},1)
---
setmetatable(1,{})
---
setmetatable({},nil) return 1
---
return tostring(getmetatable({}))
---
local t=setmetatable({},{__metatable='locked'}) return getmetatable(t)
---
local t=setmetatable({},{__metatable='locked'}) setmetatable(t,{})
---
return type(getmetatable('').__index)
---
getmetatable('').__index = nil
---
return getmetatable(_G).__index('a','b')
---
_G.x = 1
---
_G['y'] = 2
---
return _G.redis == redis
---
return _G._G == _G
---
return next(_G) ~= nil
---
local n=0 for k,v in pairs(redis) do n=n+1 end return n
---
local n=0 for k,v in pairs(string) do n=n+1 end return n
---
return unpack({1,2,3})
---
return {unpack({1,2,3},2)}
---
return {select(2,'a','b','c')}
---
return select('#')
---
return tonumber('0x1f')
---
return tonumber('z',36)
---
return assert(false)
---
return assert(false,'msg')
---
return assert(nil,{err='MY msg'})
---
return {type(nil),type(1),type('a'),type({}),type(print==nil)}
---
return xpcall(redis.call,function(e) return e.err end)
---
return xpcall(function() error('x') end,debug)
---
return {pcall(string.rep)}
---
return {pcall(string.rep,'x',-1)}
---
return string.rep('ab',3)
---
return ('x'):rep(3)
---
return string.char(256)
---
return string.gsub('hello','l',{l='L'})
---
return {string.gsub('hello','(l)','%1%1')}
---
return {string.find('hello','l')}
---
return {string.byte('abc',1,-1)}
---
return string.reverse('abc')
---
return math.floor(3.7)
---
return tostring(math.pi)
---
return tostring(math.huge)
---
return {math.max(1,5,3), math.min(4,2)}
---
return math.random(5,1)
---
return math.random('x')
---
return math.randomseed()
---
return collectgarbage('foo')
---
return loadstring('return KEYS')()
---
return loadstring('return x')()
---
return tostring(loadstring('return redis.call("foo")'))~=''
---
return loadstring('return redis.call("foo")')()
---
return loadstring('return redis.call("foo")','@mine')()
---
return loadstring('return ...')(7)
---
local i=0 return load(function() i=i+1 return ({'return ','9'})[i] end)()
---
return newproxy
---
return coroutine.status(coroutine.create(function() end))
---
coroutine.create(redis.call)
---
coroutine.create(1)
---
coroutine.wrap(1)
---
local co=coroutine.create(function() end) coroutine.resume(co) return {coroutine.resume(co)}
---
coroutine.yield(1)
---
return {err='a\r\nb'}
---
return {ok='a\0b'}
---
return redis.error_reply('My Err')
---
return redis.error_reply('My Err').err
---
return redis.error_reply('Err').err
---
return redis.error_reply('-Err').err
---
return redis.error_reply('-Err x').err
---
return redis.error_reply('').err
---
return redis.error_reply(' ').err
---
return redis.error_reply('\r\nab cd\r\n').err
---
return redis.status_reply('fine').ok
---
error(redis.error_reply('My Err'))
---
error({err='My Err', ignore_error_stats_update=true})
---
local r=redis.pcall('foo') error(r)
---
local r=redis.pcall('foo') return r
---
return {redis.pcall('foo'),2}
---
goto = 1
---
return 1 +
---
x = = 1
---
return "abc
---
for i=1,10 do
---
--[[ unfinished
---
return #KEYS+#ARGV
---
redis.call('set','k','v') redis.set_repl(redis.REPL_NONE) redis.call('set','k2','v') return redis.call('get','k2')
---
redis.replicate_commands() return 1
---
return redis.call('set','a','b','EX',0)
---
return redis.call('incr','k')
---
return redis.call('mget','k','nokey')
---
return redis.call('hgetall','nokey')
---
redis.setresp(3) return redis.call('hgetall','nokey')
---
redis.setresp(3) local m=redis.call('hgetall','nokey') return next(m.map)==nil
---
redis.call('rpush','l','a','b') return redis.call('lrange','l',0,-1)
---
return redis.call('type','l')
---
return redis.call('type','l').ok
---
return redis.call('exists','l')==1
---
redis.call('zadd','z','1','a','2.5','b') return redis.call('zrange','z',0,-1,'withscores')
---
redis.setresp(3) local r = redis.call('zrange','z',0,-1,'withscores') return {#r, type(r[1]), r[1][1], tostring(r[1][2].double)}
---
redis.setresp(3) return redis.call('zrange','z',0,-1,'withscores')
---
return redis.call('zscore','z','a')
---
return redis.call('xadd','s1','1-1','a','b')
---
return redis.call('xrange','s1','-','+')
---
return redis.call('xread','streams','s1','0')
---
redis.setresp(3) return redis.call('xread','streams','s1','0')
---
redis.setresp(3) local r=redis.call('xread','streams','s1','0') return type(r.map)
---
return redis.call('geoadd','g',1,1,'x')
---
return redis.call('geopos','g','x')
---
redis.setresp(3) return redis.call('geopos','g','x')
---
redis.setresp(3) return redis.call('spop','nos')
---
redis.setresp(3) return redis.call('sismember','s','m')
---
redis.setresp(3) return redis.call('lpop','nol',3)
---
return redis.call('lpop','nol',3)
---
return redis.call('expire','k',100)
---
return redis.call('ttl','k')
---
return redis.call('object','encoding','k')
---
return redis.call('randomkey') ~= false
---
return redis.call('dbsize') > 1
---
redis.call('select',2) redis.call('set','in2','x') return redis.call('get','in2')
---
return redis.call('get','in2')
---
return redis.call('flushall')
---
return redis.call('dbsize')
---
return redis.call('command','count') > 100
---
return redis.call('function','list')
---
return redis.call('acl','whoami')
---
return redis.call('watch','a')
---
return redis.call('exec')
---
return redis.call('reset')
---
return redis.call('quit')
---
return redis.call('psync','?','-1')
---
return redis.call('replconf','ack','1')
---
return redis.call('replicaof','no','one')
---
return redis.call('role')[1]
---
return redis.call('pubsub','channels')
---
return redis.call('lastsave') > 0
---
return redis.call('swapdb',0,1)
---
return redis.call('keys','*')
---
return redis.call('scan',0)
---
return redis.call('GET','nokey') == false
---
return redis.call('Get','nokey') == false
---
return redis.call('get ','nokey')
---
return redis.call('','nokey')
---
return tostring(redis.call('incrbyfloat','f','1.5'))
---
return redis.call('hincrbyfloat','hf','a','1.5')
---
return {1.5,'1.5',-0.5,2^31,2^53,-2^53}
---
return {[1]='a',[2]='b',x='c'}
---
return {x='c'}
---
return {{},{{}}}
---
return {err=1}
---
return {ok=1}
---
return {err='e',ok='o'}
---
return {double=1/0}
---
return {double=0.1}
---
return {double='x'}
---
return {map={}}
---
return {map={a={1,2}}}
---
return {set={}}
---
return {big_number='12\r\n3'}
---
return {verbatim_string={format='txt'}}
---
return {verbatim_string={format='toolong',string='x'}}
---
return bit.band(0xff,0x0f)
---
local a = {} a.b = a return cjson.encode(a)
---
return cmsgpack.unpack(cmsgpack.pack({a={1,2,{b='c'}}})).a[3].b
---
return string.len(string.dump(function() end)) > 10
---
return {pcall(loadstring,string.dump(function() return 1 end))}
---
local f,e=loadstring(string.dump(function() return 1 end)) return e
---
return cjson.encode({1,2,3})
---
return cjson.encode({})
---
return cjson.encode({a={b={}}})
---
return cjson.encode({[1]=1,[2]=2,[4]=4})
---
return cjson.encode({[1]=1,[100]=2})
---
return cjson.encode({[1.5]=1})
---
return cjson.encode({[true]=1})
---
return cjson.encode({[0]=1})
---
return cjson.encode(function() end)
---
return cjson.encode({function() end})
---
return cjson.encode()
---
return cjson.encode(1,2)
---
return cjson.encode(nil)
---
return cjson.encode(cjson.null)
---
return cjson.encode({cjson.null,false,true})
---
return cjson.encode(1/0)
---
return cjson.encode(0/0)
---
return cjson.encode({1e15,1e14,123456789012345,0.1,1/3,-0,1e300,100000000000000,2^53})
---
return cjson.encode("\0\1\b\t\n\f\r\"/\\\127é")
---
local t={} for i=1,1000 do t={t} end return #cjson.encode(t)
---
local t={} for i=1,999 do t={t} end return #cjson.encode(t)
---
return cjson.decode('')
---
return cjson.decode()
---
return cjson.decode({})
---
return cjson.decode('[1,2')
---
return cjson.decode('[1,]')
---
return cjson.decode('{"a"}')
---
return cjson.decode('{1:2}')
---
return cjson.decode('{"a":1,}')
---
return cjson.decode('{"a":1')
---
return cjson.decode('[1] x')
---
return cjson.decode('[1]2')
---
return cjson.decode('nul')
---
return cjson.decode('+1')
---
return tostring(cjson.decode('[0x10]')[1])
---
return tostring(cjson.decode('[-inf]')[1])
---
return tostring(cjson.decode('[nan]')[1])
---
return tostring(cjson.decode('[Infinity]')[1])
---
return tostring(cjson.decode('[01]')[1])
---
return tostring(cjson.decode('[1.e2]')[1])
---
return tostring(cjson.decode('[1e]')[1])
---
return tostring(cjson.decode('[-]')[1])
---
return cjson.decode('["\\u0041\\u00e9\\ud83d\\ude00\\n"]')[1]
---
return cjson.decode('["\\ud83d"]')[1]
---
return cjson.decode('["\\udc00"]')[1]
---
return cjson.decode('["\\u12"]')[1]
---
return cjson.decode('["\\x"]')[1]
---
return cjson.decode('["abc')[1]
---
return cjson.decode('["ab\0c"]')[1]
---
return cjson.decode('[1\0]')
---
return cjson.decode('\0[1]')
---
return cjson.decode('["a\nb"]')[1]
---
return cjson.decode(' \t\r\n[ 1 , 2 ] ')
---
return cjson.decode(string.rep('[',1001)..string.rep(']',1001))
---
return #cjson.decode(string.rep('[',1000)..string.rep(']',1000))
---
return cjson.decode('5')
---
return cjson.decode(5)
---
return cjson.decode('"x"')
---
return cjson.decode('[null]')[1]==cjson.null
---
return tostring(cjson.null)
---
return cjson.decode('{"a":1,"a":2}').a
---
return cjson.decode('[1 2]')
---
return cjson.decode('{"a" 1}')
---
return cjson.decode('{,}')
---
return cjson.decode('[tru]')
---
return cjson.decode('#')
---
return cjson.decode('[12345678901234567890]')[1]
---
return {cjson.encode_sparse_array()}
---
return {tostring((cjson.encode_sparse_array()))}
---
cjson.encode_sparse_array(true) local a=cjson.encode({[1]=1,[100]=2}) cjson.encode_sparse_array(false,2,10) return a
---
cjson.encode_sparse_array(1)
---
cjson.encode_sparse_array(true,-1)
---
cjson.encode_sparse_array(true,1,1,1)
---
return cjson.encode_max_depth(0)
---
return cjson.encode_max_depth('x')
---
return {cjson.encode_max_depth(),cjson.decode_max_depth(),cjson.encode_number_precision(),tostring(cjson.encode_keep_buffer()),tostring(cjson.encode_invalid_numbers()),tostring(cjson.decode_invalid_numbers())}
---
return cjson.encode_number_precision(17)
---
return cjson.encode_number_precision(15)
---
cjson.encode_number_precision(3) local a=cjson.encode(1/3) cjson.encode_number_precision(14) return a
---
cjson.encode_invalid_numbers('null') local a=cjson.encode({1/0,0/0}) cjson.encode_invalid_numbers(false) return a
---
cjson.encode_invalid_numbers(true) local a=cjson.encode({1/0,-1/0,0/0}) cjson.encode_invalid_numbers(false) return a
---
return cjson.encode_invalid_numbers('foo')
---
return cjson.encode_invalid_numbers(5)
---
cjson.decode_invalid_numbers(false) local a={pcall(cjson.decode,'[0x10]')} cjson.decode_invalid_numbers(true) return a
---
cjson.decode_invalid_numbers(false) local a={pcall(cjson.decode,'[nan]')} cjson.decode_invalid_numbers(true) return a
---
local c=cjson.new() return c.encode({1})
---
return {pcall(cjson.decode,'[')}
---
local t={} for k,v in pairs(cjson.new()) do t[#t+1]=k end table.sort(t) return t
---
cjson.foo=1
---
return cjson.encode({a=1,[1]=2})
---
return cjson.encode(setmetatable({},{__index={1,2}}))
---
return cjson.encode({[-1]=1})
---
return cjson.encode({[1e15]='x'})
---
return cmsgpack.pack()
---
return cmsgpack.pack({})
---
return cmsgpack.pack({1,2,3})
---
return cmsgpack.pack({a=1})
---
return cmsgpack.pack({[1]=1,[3]=3})
---
return cmsgpack.pack(1.5,0.1,-1,-33,-129,-32769,-2147483649,127,128,256,65536,4294967296,1e20,1/0,2^63,-2^63)
---
return cmsgpack.pack(nil,true,false,function() end,cjson.null)
---
return cmsgpack.pack(string.rep('a',31),string.rep('a',32),string.rep('a',256))
---
local t={} for i=1,20 do t={t} end return cmsgpack.pack(t)
---
local t={} for i=1,20 do t={a=t} end return cmsgpack.pack(t)
---
local t={} for i=1,17 do t[i]=i end return cmsgpack.pack(t)
---
return cmsgpack.unpack('')
---
return {cmsgpack.unpack('\1\2\147\1\2\3')}
---
return {cmsgpack.unpack('\147\1\2')}
---
return {cmsgpack.unpack('\193')}
---
return {cmsgpack.unpack('\196\1a')}
---
return {cmsgpack.unpack('\217\1a')}
---
return {cmsgpack.unpack('\212\1a')}
---
return {cmsgpack.unpack_one('\1\2\3')}
---
return {cmsgpack.unpack_one('\1\2\3',2)}
---
return {cmsgpack.unpack_one('\1\2\3',3)}
---
return {cmsgpack.unpack_one('\1\2\3',4)}
---
return {cmsgpack.unpack_one('\1\2\3',-1)}
---
return {cmsgpack.unpack_limit('\1\2\3',2)}
---
return {cmsgpack.unpack_limit('\1\2\3',0)}
---
return {cmsgpack.unpack_limit('\1\2\3',-1)}
---
return {cmsgpack.unpack_limit('\1\2\3')}
---
return {cmsgpack.unpack_limit('\1\2\3',5,1)}
---
return cmsgpack.unpack()
---
return cmsgpack.unpack({})
---
return tostring(cmsgpack.unpack('\207\255\255\255\255\255\255\255\255'))
---
return tostring(cmsgpack.unpack('\211\255\255\255\255\255\255\255\255'))
---
return tostring(cmsgpack.unpack('\202\63\128\0\0'))
---
return tostring(cmsgpack.unpack('\203\63\185\153\153\153\153\153\154'))
---
return cmsgpack.unpack('\129\192\1')
---
return cmsgpack.unpack('\129\203\127\248\0\0\0\0\0\0\1')
---
return cmsgpack.unpack('\221\255\255\255\255')
---
return cmsgpack.unpack(string.rep('\145',10000)..'\1')
---
return cmsgpack.unpack('\222\0\1\1\2')[1]
---
return struct.pack('>I2I4',1,2)
---
return struct.pack('<i4',-2)
---
return struct.pack('bBhHlLT',-1,255,-1,65535,-1,1,2)
---
return struct.pack('!4bi4',1,2)
---
return struct.pack('!bd',1,2)
---
return struct.pack('!3b',1)
---
return struct.pack('s','abc')
---
return struct.pack('c3','abcdef')
---
return struct.pack('c3','ab')
---
return struct.pack('c0','abc')
---
return struct.pack('z','abc')
---
return struct.pack('i33',1)
---
return struct.pack('i16',-1)
---
return struct.pack('f',1.5)
---
return struct.pack('>d',0.1)
---
return struct.pack('f',1e300)
---
return struct.pack('xbx',1)
---
return struct.pack('b')
---
return struct.pack('b','x')
---
return struct.pack('b','12')
---
return struct.pack('b',{})
---
return struct.pack()
---
return struct.pack('i99999999999',1)
---
return struct.pack('I8',2^64)
---
return struct.pack('I8',2^63)
---
return struct.pack('i8',-2^63)
---
return struct.pack('b',300)
---
return struct.pack('b',1.9)
---
return struct.pack('b',-1.9)
---
return {struct.unpack('>I2','\1\2')}
---
return {struct.unpack('>i2','\255\254')}
---
return {struct.unpack('bb','\1')}
---
return {struct.unpack('s','abc\0def')}
---
return {struct.unpack('s','abc')}
---
return {struct.unpack('c2','abc')}
---
return {struct.unpack('Bc0','\2abc')}
---
return {struct.unpack('c0','abc')}
---
return {struct.unpack('b','abc',2)}
---
return {struct.unpack('b','abc',0)}
---
return {struct.unpack('b','abc',-1)}
---
return {struct.unpack('b','abc',4)}
---
return {struct.unpack('','abc',10)}
---
return {tostring((struct.unpack('d',struct.pack('d',0.1))))}
---
return {tostring((struct.unpack('f',struct.pack('f',0.1))))}
---
return {tostring((struct.unpack('>i8','\128\0\0\0\0\0\0\1')))}
---
return {tostring((struct.unpack('>I8','\255\255\255\255\255\255\255\255')))}
---
return {struct.unpack('!4bi4','\1\0\0\0\2\0\0\0')}
---
return {struct.size('bhi'),struct.size('!bhi'),struct.size('c5'),struct.size('>')}
---
return struct.size('s')
---
return struct.size('c0')
---
return struct.size('?')
---
return struct.size()
---
return {bit.tobit(0xffffffff),bit.tobit(2^31),bit.tobit(1.5),bit.tobit(2.5),bit.tobit(-1),bit.tobit(1e300)}
---
return {bit.tohex(1),bit.tohex(-1),bit.tohex(0x1234abcd,4),bit.tohex(0xabcd,-4),bit.tohex(1,100),bit.tohex(1,0),bit.tohex(1,-100)}
---
return {bit.bnot(0),bit.band(7,3),bit.bor(1,2,4),bit.bxor(5,1),bit.lshift(1,31),bit.rshift(-1,1),bit.arshift(-8,1),bit.rol(0x12345678,12),bit.ror(0x12345678,12),bit.bswap(0x12345678),bit.lshift(1,32),bit.lshift(1,33)}
---
return bit.band()
---
return bit.band('x')
---
return bit.band('7',3)
---
return bit.lshift(1)
---
return bit.bnot()
---
return bit.bnot({})
---
local t={} t[1]={} return bit.band(1,t)
---
return {string.find('a','a%')}
---
return string.find('a')
---
return string.match('key=val','(%w+)=(%w+)')
---
return string.gsub('x','(','')
---
return string.gsub('hello','.',function(c) return redis.call('nosuch') end)
---
return string.gsub('hello','.',function(c) error('x') end)
---
return string.gsub('hello','(l)(l)','%2%1%3')
---
return string.gsub('hello','l','%9')
---
return string.gsub('hello','l',{l=5})
---
return string.gsub('hello','l',{l={}})
---
return string.gsub('hello','l',5)
---
return string.gsub('hello','l',nil)
---
return string.gmatch('x')
---
for k,v in string.gmatch('a=1,b=2','(%w+)=(%w+)') do redis.call('set',k,v) end return redis.call('mget','a','b')
---
local i,n=0,0 for w in ('a b c'):gmatch('%S+') do n=n+1 end return n
---
return string.rep()
---
return string.rep('x')
---
return string.find('abc','b',-10)
---
return string.find('abc','b',1,true)
---
return string.find('a.c','.',1,true)
---
return unpack()
---
return unpack(1)
---
return unpack({1,2},'x')
---
return {unpack({1,2,3},2,3)}
---
return {unpack({1,2,3},-1,1)}
---
return #{unpack({},1,7999)}
---
return #{unpack({},1,8000)}
---
return select('#',unpack({},1,7997))
---
xpcall(1)
---
return {xpcall(1,function(e) return e end)}
---
return {xpcall(function(a) return a end,function(e) return e end,5)}
---
local ok,e=pcall(string.find,'a','[') return e
---
local f=string.find return f('a','[')
---
return (string.gsub('abc','%w','%0%0'))
---
return string.format('%d',3.7)
---
return string.format('%x',255)
---
return string.format('%s',nil)
---
return string.format('%d','x')
---
return string.format('%y',1)
---
return tostring(nil)..tostring(true)
---
return {tonumber('  10  '),tonumber('10a')==nil,tonumber('1e1'),tonumber(nil)==nil}
---
return tonumber()
---
return #ARGV
---
local t={} t[nil]=1
---
local t={} t[0/0]=1
---
return 1 .. 2
---
return {} .. 'x'
---
return {} + 1
---
return #5
---
return -{}
---
return {} < {}
---
return 1 < 'x'
---
local a = nil; return a()
---
return ('x')()
---
return redis.call('eval_ro','return 1',0)
---
return cjson.decode('{"a":[]}').a[1] == nil
---
return table.getn({1,2})
---
return table.maxn({1,2,[10]=1})
---
table.foreach({a=1},function(k,v) redis.call('set',k,v) end) return redis.call('get','a')
---
return table.foreachi({5},function(i,v) return v end)
---
table.setn({},1)
---
return math.mod(7,3)
---
return math.fmod(7,3)
---
return tostring(math.sqrt(2))
---
return table.concat({'a','b'},',',1,3)
---
return table.concat(1)
