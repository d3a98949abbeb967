-- What scripts see, and what they do not: the globals, read-only tables, errors with the script's line, `redis`.
--
-- Arguments: the support table, the libraries (cjson, cmsgpack, struct, bit, the value of null), what the server does
-- for scripts (functions by name, in `host`), and whether this runtime is for functions.
--
-- Lua 5.1 has no read-only tables, so a script never holds a protected table itself: it holds an empty proxy whose
-- reads go to the table and whose writes are refused. `shown` knows the table behind each proxy, and the functions of
-- Lua that would go around the proxy (next, rawset, table.insert …) are ours. Nothing of the host is in reach: what
-- it gives us are plain functions, and they stay in our upvalues.
local support, libraries, bare, for_functions = ...
local _G, debug, string, table, math, coroutine, os = _G, debug, string, table, math, coroutine, os
local assert, collectgarbage, error, getmetatable, ipairs, load, loadstring, next, pairs, pcall, rawequal, rawget,
  rawset, select, setfenv, setmetatable, tonumber, tostring, type, unpack, xpcall, gcinfo =
  assert, collectgarbage, error, getmetatable, ipairs, load, loadstring, next, pairs, pcall, rawequal, rawget,
  rawset, select, setfenv, setmetatable, tonumber, tostring, type, unpack, xpcall, gcinfo
local getinfo, sethook = debug.getinfo, debug.sethook
local concat, find, format, sub, floor = table.concat, string.find, string.format, string.sub, math.floor
local INTERNAL = support.INTERNAL
local fail, bad_argument, expected = support.fail, support.bad_argument, support.expected
local READONLY = 'Attempt to modify a readonly table'
local HOOK_INSTRUCTIONS = 100000
local RESULTS_MAX = 8000 -- with the arguments beside them

local NO_ROOM = support.NO_ROOM

local host = {}
for name, ask in next, bare do host[name] = type(ask) == 'userdata' and support.guard(ask) or ask end
for _, name in next, { 'call', 'again', 'interrupt', 'ending' } do host[name] = support.as_function(bare[name]) end

-- Why a script is ended, by the host's number.
local reasons = { 'ERR Script killed by user with SCRIPT KILL...', 'ERR FUNCTION LOAD timeout' }

-- What is behind each proxy of a read-only table.
local shown = setmetatable({}, { __mode = 'k' })

-- errors -------------------------------------------------------------------------------------------------------

-- Where the script was: the first frame of Lua code that is not ours.
local function place()
  local level = 3
  while true do
    local info = getinfo(level, 'Sl')
    if not info then return nil end
    if info.source ~= INTERNAL and info.what ~= 'C' and info.what ~= 'tail' then return info end
    level = level + 1
  end
end

local function error_handler(err)
  local info = place()
  if type(err) ~= 'table' or shown[err] then err = { err = 'ERR ' .. tostring(err) } end
  if info then
    rawset(err, 'source', info.source)
    rawset(err, 'line', info.currentline)
  end
  return err
end

local function error_table(message)
  return { err = message }
end

-- read-only tables ---------------------------------------------------------------------------------------------

local function refuse_assignment()
  error(READONLY, 2)
end

local function protect(behind)
  local proxy = setmetatable({}, { __index = behind, __newindex = refuse_assignment })
  shown[proxy] = behind
  return proxy
end

local function missing_global(_, name)
  error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
end

-- interruption -------------------------------------------------------------------------------------------------

-- Called every so many instructions. Once the script is to end, at every line of it: a pcall around an endless loop
-- would catch one error, and go on.
local function hook(event)
  if event == 'line' and getinfo(2, 'S').source == INTERNAL then return end
  local reason = host.interrupt()
  if reason then
    sethook(hook, 'l', 0)
    error({ err = reasons[reason] }, 0)
  end
end

local function watch(thread)
  sethook(thread, hook, '', HOOK_INSTRUCTIONS)
end

sethook(hook, '', HOOK_INSTRUCTIONS)

-- Lua's own functions, as far as they must not be the original ones -------------------------------------------------

local function table_argument(position, name, count, value)
  if type(value) ~= 'table' then expected('table', position, name, count, value) end
  return shown[value]
end

local function writable(position, name, count, value)
  if type(value) ~= 'table' then expected('table', position, name, count, value) end
  if shown[value] then error(READONLY, 0) end
end

local function next_shown(value, key)
  return next(shown[value], key)
end

local base = {}

function base.next(...)
  local count, value, key = select('#', ...), ...
  local behind = table_argument(1, 'next', count, value)
  local found, item = next(behind or value, key)
  return found, item
end

function base.pairs(...)
  local count, value = select('#', ...), ...
  if table_argument(1, 'pairs', count, value) then return next_shown, value, nil end
  return next, value, nil
end

function base.rawget(...)
  local count, value, key = select('#', ...), ...
  local behind = table_argument(1, 'rawget', count, value)
  if count < 2 then bad_argument(2, 'rawget', 'value expected') end
  local found = rawget(behind or value, key)
  return found
end

function base.rawset(...)
  local count, value, key, item = select('#', ...), ...
  if type(value) ~= 'table' then expected('table', 1, 'rawset', count, value) end
  if count < 3 then bad_argument(count + 1, 'rawset', 'value expected') end
  if shown[value] then error(READONLY, 0) end
  if key == nil then error('table index is nil', 0) end
  if key ~= key then error('table index is NaN', 0) end
  rawset(value, key, item)
  return value
end

local string_metatable = protect({})
local global_metatable = protect({})
local global_proxy

function base.getmetatable(...)
  local count, value = select('#', ...), ...
  if count == 0 then bad_argument(1, 'getmetatable', 'value expected') end
  local kind = type(value)
  if kind == 'string' then return string_metatable end
  if kind == 'userdata' then return nil end
  if kind == 'table' and shown[value] then
    if value == global_proxy then return global_metatable end
    return nil
  end
  local found = getmetatable(value)
  return found
end

function base.setmetatable(...)
  local count, value, metatable = select('#', ...), ...
  if type(value) ~= 'table' then expected('table', 1, 'setmetatable', count, value) end
  if count < 2 or (metatable ~= nil and type(metatable) ~= 'table') then
    bad_argument(2, 'setmetatable', 'nil or table expected')
  end
  if shown[value] then error(READONLY, 0) end
  local current = debug.getmetatable(value)
  if current and rawget(current, '__metatable') ~= nil then fail('cannot change a protected metatable') end
  setmetatable(value, metatable)
  return value
end

local function text_of_error(ok, err, ...)
  if not ok and type(err) == 'table' and (type(err.err) == 'string' or type(err.err) == 'number') then
    return false, err.err
  end
  return ok, err, ...
end

-- Redis 7's errors are tables; who catches one sees its text, as before.
function base.pcall(...)
  if select('#', ...) == 0 then bad_argument(1, 'pcall', 'value expected') end
  return text_of_error(pcall(...))
end

-- The handler of an error that ends the script runs with no hook that could end it in turn, so it must be none of the
-- script's.
function base.xpcall(...)
  local count, body, handler = select('#', ...), ...
  if count < 2 then bad_argument(2, 'xpcall', 'value expected') end
  return xpcall(body, function(err)
    if host.ending() then return err end
    return handler(err)
  end)
end

-- Bytecode is never read: what it does is not checked by anything.
local function is_bytecode(text)
  return sub(text, 1, 1) == '\27'
end

local function refused_bytecode(name)
  local short = find(name, '^[=@]') and sub(name, 2) or '[string "' .. name:match('^[^%z\n]*') .. '"]'
  return nil, short .. ":1: unexpected symbol near 'char(27)'"
end

-- A chunk made safe by the host; nobody's is named as ours are, which the hook passes by.
local function compiled(text, name)
  if is_bytecode(text) then return refused_bytecode(name) end
  if name == INTERNAL then name = '=(script)' end
  local chunk, problem = loadstring(text, name)
  if not chunk then return nil, problem end
  local code = host.make_safe(string.dump(chunk))
  if not code then return nil, "a function that uses '...' may have two parameters beside it" end
  return setfenv(loadstring(code), global_proxy)
end

function base.loadstring(...)
  local count, text, name = select('#', ...), ...
  text = support.text(1, 'loadstring', count, text)
  name = name == nil and text or support.text(2, 'loadstring', count, name)
  local chunk, problem = compiled(text, name)
  return chunk, problem
end

function base.load(...)
  local count, reader, name = select('#', ...), ...
  if type(reader) ~= 'function' then expected('function', 1, 'load', count, reader) end
  name = name == nil and '=(load)' or support.text(2, 'load', count, name)
  local parts, size = {}, 0
  while true do
    local part = reader()
    if part == nil or part == '' then break end
    if type(part) ~= 'string' and type(part) ~= 'number' then return nil, 'reader function must return a string' end
    size = size + 1
    parts[size] = part
  end
  local text = concat(parts, '', 1, size)
  local chunk, problem = compiled(text, name)
  return chunk, problem
end

-- A script may look at the collector and push it, but not leave it stopped for those that come after.
local collecting = { collect = true, count = true, step = true }
local tuning = { stop = 0, restart = 0, setpause = 200, setstepmul = 200 }

function base.collectgarbage(...)
  local count, option, argument = select('#', ...), ...
  option = option == nil and 'collect' or support.text(1, 'collectgarbage', count, option)
  if tuning[option] then return tuning[option] end
  if not collecting[option] then bad_argument(1, 'collectgarbage', "invalid option '" .. option .. "'") end
  local found = collectgarbage(option, option == 'step' and tonumber(argument) or nil)
  return found
end

local own_table = {}
for name, original in next, table do own_table[name] = original end

function own_table.insert(...)
  local count, value, position = select('#', ...), ...
  writable(1, 'insert', count, value)
  if count < 2 or count > 3 then fail("wrong number of arguments to 'insert'") end
  if count == 3 then
    table.insert(value, support.integer(2, 'insert', count, position), (select(3, ...)))
  else
    table.insert(value, position)
  end
end

function own_table.remove(...)
  local count, value, position = select('#', ...), ...
  writable(1, 'remove', count, value)
  if position == nil then return table.remove(value) end
  return table.remove(value, support.integer(2, 'remove', count, position))
end

function own_table.sort(...)
  local count, value, less = select('#', ...), ...
  writable(1, 'sort', count, value)
  if less ~= nil and type(less) ~= 'function' then expected('function', 2, 'sort', count, less) end
  table.sort(value, less)
end

function own_table.foreach(...)
  local count, value, visit = select('#', ...), ...
  local behind = table_argument(1, 'foreach', count, value)
  if type(visit) ~= 'function' then expected('function', 2, 'foreach', count, visit) end
  for key, item in next, behind or value do
    local found = visit(key, item)
    if found ~= nil then return found end
  end
end

local own_coroutine = {}
for name, original in next, coroutine do own_coroutine[name] = original end

local function watched(name, ...)
  local count, body = select('#', ...), ...
  local made = type(body) == 'function' and getinfo(body, 'S')
  if not made or made.what == 'C' or made.source == INTERNAL then
    bad_argument(1, name, 'Lua function expected')
  end
  local reason = host.ending()
  if reason then error({ err = reasons[reason] }, 0) end
  local thread = coroutine.create(body)
  watch(thread)
  return thread
end

function own_coroutine.create(...)
  local thread = watched('create', ...)
  return thread
end

local function passed_on(ok, err, ...)
  if ok then return err, ... end
  if type(err) == 'string' then fail(err) end -- as the original does, which puts a second place in front
  error(err, 0)
end

function own_coroutine.wrap(...)
  local thread = watched('wrap', ...)
  return function(...)
    return passed_on(coroutine.resume(thread, ...))
  end
end

-- Lua 5.1's own unpack counts in an int, which a range that is large enough turns around.
function base.unpack(...)
  local count, value, first, last = select('#', ...), ...
  if type(value) ~= 'table' then expected('table', 1, 'unpack', count, value) end
  first = first == nil and 1 or support.integer(2, 'unpack', count, first)
  last = last == nil and #value or support.integer(3, 'unpack', count, last)
  if last - first + count >= RESULTS_MAX then fail('too many results to unpack') end
  return unpack(...)
end

local own_string = {}
for name, original in next, string do own_string[name] = original end

-- What takes too much is refused at once, not after seconds of filling the memory.
function own_string.rep(...)
  local count, text, times = select('#', ...), ...
  text = support.text(1, 'rep', count, text)
  times = support.integer(2, 'rep', count, times)
  if text == '' or times <= 0 then return '' end
  if #text * times > host.memory_max then error(NO_ROOM, 0) end
  local found = string.rep(text, times)
  return found
end

-- Matching goes down the machine's stack with each part of a pattern, and past its end if there are enough of them.
local PATTERN_MAX_BYTES = 32768
local OWN_ERRORS = { '^bad argument #', '^malformed pattern', '^invalid capture', '^missing ', '^invalid pattern',
  '^unfinished capture', '^invalid replacement', '^too many captures', '^string slice', '^pattern too' }

local function located(name, ok, found, ...)
  if ok then return found, ... end
  if type(found) == 'string' then
    for _, start in next, OWN_ERRORS do
      if find(found, start) then
        local position, message = found:match("^bad argument #(%d+) to '%?' %((.*)%)$")
        if position then bad_argument(tonumber(position), name, message) end
        fail(found)
      end
    end
  end
  error(found, 0)
end

for _, name in next, { 'find', 'match', 'gmatch', 'gfind', 'gsub' } do
  local original = string[name]
  own_string[name] = function(...)
    local _, pattern, _, plain = ...
    if type(pattern) == 'string' and #pattern > PATTERN_MAX_BYTES and not (name == 'find' and plain) then
      fail('pattern too complex')
    end
    return located(name, pcall(original, ...))
  end
end

local own_math = {}
for name, original in next, math do own_math[name] = original end

local RANDOM_MAX = 2147483647

function own_math.random(...)
  local drawn = host.random()
  if not drawn then fail('math.random can only be called inside a script invocation') end
  local r = (drawn % RANDOM_MAX) / RANDOM_MAX
  local count, low, high = select('#', ...), ...
  if count == 0 then return r end
  if count > 2 then fail('wrong number of arguments') end
  low = support.integer(1, 'random', count, low)
  if count == 1 then
    if low < 1 then bad_argument(1, 'random', 'interval is empty') end
    return floor(r * low) + 1
  end
  high = support.integer(2, 'random', count, high)
  if low > high then bad_argument(2, 'random', 'interval is empty') end
  return floor(r * (high - low + 1)) + low
end

function own_math.randomseed(...)
  local seed = support.integer(1, 'randomseed', select('#', ...), (...))
  if not host.seed(seed) then fail('math.randomseed can only be called inside a script invocation') end
end

-- redis --------------------------------------------------------------------------------------------------------

local NO_ARGUMENTS = 'ERR Please specify at least one argument for this redis lib call'
local call_problems = {
  'ERR redis.call/pcall can only be called inside a script invocation', "ERR internal error, see the server's log",
}
local NOT_STRINGS = 'ERR Lua redis lib command arguments must be strings or integers'

local plain = { string = true, number = true }

local function all_strings(count, ...)
  if count <= 4 then
    local a, b, c, d = ...
    return plain[type(a)] and (count < 2 or plain[type(b)]) and (count < 3 or plain[type(c)])
      and (count < 4 or plain[type(d)])
  end
  local values = { ... }
  for index = 1, count do
    if not plain[type(values[index])] then return false end
  end
  return true
end

local call, again = host.call, host.again

-- What to do about a command that gave no plain reply: its reply, or nil and a table that says what went wrong.
local function settled(problem)
  local reply
  if problem == true then -- there was no room for the reply
    collectgarbage()
    reply, problem = again()
    if problem == true then error(NO_ROOM, 0) end
  end
  if problem == 3 then return { ok = 'OK' } end
  if type(problem) == 'number' then error(error_table(call_problems[problem]), 0) end
  return reply, problem
end

local function refused(count)
  return nil, error_table(count == 0 and NO_ARGUMENTS or NOT_STRINGS)
end

local redis = {
  LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3,
  REPL_NONE = 0, REPL_AOF = 1, REPL_SLAVE = 2, REPL_REPLICA = 2, REPL_ALL = 3,
  REDIS_VERSION = host.version, REDIS_VERSION_NUM = host.version_number,
}

function redis.call(...)
  local count = select('#', ...)
  local reply, problem
  if count > 0 and all_strings(count, ...) then
    reply, problem = call(...)
    if problem == nil then return reply end
    reply, problem = settled(problem)
  else
    reply, problem = refused(count)
  end
  if problem then error(problem, 0) end
  return reply
end

function redis.pcall(...)
  local count = select('#', ...)
  local reply, problem
  if count > 0 and all_strings(count, ...) then
    reply, problem = call(...)
    if problem == nil then return reply end
    reply, problem = settled(problem)
  else
    reply, problem = refused(count)
  end
  if problem then return problem end
  return reply
end

local function inside(name)
  if not host.running() then error(error_table('ERR redis.' .. name .. ' can only be called inside a script invocation'), 0) end
end

function redis.log(...)
  local count, level = select('#', ...), ...
  if count < 2 then error(error_table('ERR redis.log() requires two arguments or more.'), 0) end
  level = tonumber(level)
  if not level then error(error_table('ERR First argument must be a number (log level).'), 0) end
  if level < 0 or level >= 4 then error(error_table('ERR Invalid debug level.'), 0) end
  local words, size = {}, 0
  for index = 2, count do
    local word = select(index, ...)
    if type(word) == 'string' or type(word) == 'number' then
      size = size + 1
      words[size] = tostring(word)
    end
  end
  host.log(floor(level), concat(words, ' ', 1, size))
end

function redis.sha1hex(...)
  if select('#', ...) ~= 1 then error(error_table('ERR wrong number of arguments'), 0) end
  local text = ...
  if type(text) == 'number' then text = tostring(text) end
  local digest = host.sha1hex(type(text) == 'string' and text or '')
  return digest
end

-- The code, and the message without it (`luaPushErrorBuff`).
local function coded(text)
  local code, message = text:match('^%-([^ ]*) (.*)$')
  if not code then
    code, message = 'ERR', sub(text, 2)
  end
  return { err = code .. ' ' .. message:gsub('^[\r\n]+', ''):gsub('[\r\n]+$', '') }
end

function redis.error_reply(...)
  local text = ...
  if select('#', ...) ~= 1 or type(text) ~= 'string' then return error_table('ERR wrong number or type of arguments') end
  text = text:match('^%Z*')
  return coded(sub(text, 1, 1) == '-' and text or '-' .. text)
end

function redis.status_reply(...)
  local text = ...
  if select('#', ...) ~= 1 or type(text) ~= 'string' then return error_table('ERR wrong number or type of arguments') end
  return { ok = text }
end

function redis.setresp(...)
  inside('setresp')
  if select('#', ...) ~= 1 then error(error_table('ERR redis.setresp() requires one argument.'), 0) end
  local version = floor(tonumber((...)) or 0)
  if version ~= 2 and version ~= 3 then error(error_table('ERR RESP version must be 2 or 3.'), 0) end
  host.set_resp(version)
end

function redis.set_repl(...)
  inside('set_repl')
  if select('#', ...) ~= 1 then error(error_table('ERR redis.set_repl() requires two arguments.'), 0) end
  local flags = floor(tonumber((...)) or 0)
  if flags < 0 or flags > 3 then
    error(error_table('ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.'), 0)
  end
  host.set_repl(flags)
end

function redis.acl_check_cmd(...)
  inside('acl_check_cmd')
  local count = select('#', ...)
  if count == 0 then error(error_table(NO_ARGUMENTS), 0) end
  if not all_strings(count, ...) then error(error_table(NOT_STRINGS), 0) end
  local allowed = host.acl_check(...)
  if allowed == nil then error(error_table('ERR Invalid command passed to redis.acl_check_cmd()'), 0) end
  return allowed
end

if not for_functions then
  function redis.breakpoint()
    return false
  end

  function redis.debug()
  end

  function redis.replicate_commands()
    return true
  end
end

-- the globals --------------------------------------------------------------------------------------------------

local null = libraries.null
getmetatable(null).__tostring = function() return 'userdata: (nil)' end
getmetatable(null).__metatable = false

local cjson = libraries.cjson
local new_cjson = cjson.new
local own_cjson = {}
for name, item in next, cjson do own_cjson[name] = item end

local globals = {
  _VERSION = 'Lua 5.1', assert = assert, error = error, gcinfo = gcinfo, ipairs = ipairs, rawequal = rawequal,
  select = select, tonumber = tonumber, tostring = tostring, type = type,
}
for name, item in next, base do globals[name] = item end
globals.string = protect(own_string)
globals.table = protect(own_table)
globals.math = protect(own_math)
globals.coroutine = protect(own_coroutine)
globals.os = protect({ clock = os.clock })
globals.cjson = protect(own_cjson)
globals.cmsgpack = protect(libraries.cmsgpack)
globals.struct = protect(libraries.struct)
globals.bit = protect(libraries.bit)
globals.redis = protect(redis)
if not for_functions then globals.__redis__err__handler = error_handler end
setmetatable(globals, { __index = missing_global })

global_proxy = protect(globals)
globals._G = global_proxy
shown[string_metatable].__index = globals.string
shown[global_metatable].__index = missing_global
getmetatable('').__index = own_string

-- For FUNCTION LOAD there is hardly anything.
local load_redis = setmetatable({ LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3,
  REDIS_VERSION = host.version, REDIS_VERSION_NUM = host.version_number, log = redis.log }, { __index = missing_global })
local load_globals = setmetatable({ redis = protect(load_redis) }, { __index = missing_global })

local function show(behind)
  shown[global_proxy] = behind
  getmetatable(global_proxy).__index = behind
end

-- replies ------------------------------------------------------------------------------------------------------

local DEPTH_MAX = 7990 -- where Redis runs out of Lua's stack

local function line(text)
  return ((text:match('^%Z*')):gsub('[\r\n]', ' '))
end

-- Append the bytes of a reply to `out`, and give how many parts there are.
local function reply_bytes(out, count, value, client, script, depth)
  local kind = type(value)
  count = count + 1
  if kind == 'string' then
    out[count] = '$' .. #value .. '\r\n' .. value .. '\r\n'
    return count
  elseif kind == 'number' then
    out[count] = format(':%d\r\n', value)
    return count
  elseif kind == 'boolean' then
    if script == 2 then
      out[count] = value and ':1\r\n' or client == 2 and '$-1\r\n' or '_\r\n'
    elseif client == 2 then
      out[count] = value and ':1\r\n' or ':0\r\n'
    else
      out[count] = value and '#t\r\n' or '#f\r\n'
    end
    return count
  elseif kind ~= 'table' then
    out[count] = client == 2 and '$-1\r\n' or '_\r\n'
    return count
  end
  if depth >= DEPTH_MAX then
    out[count] = '-ERR reached lua stack limit\r\n'
    return count
  end
  value = shown[value] or value
  local special = rawget(value, 'err')
  if type(special) == 'string' then
    out[count] = '-' .. line(special) .. '\r\n'
    return count
  end
  special = rawget(value, 'ok')
  if type(special) == 'string' then
    out[count] = '+' .. line(special) .. '\r\n'
    return count
  end
  special = rawget(value, 'double')
  if type(special) == 'number' then
    local text = host.double(special)
    out[count] = client == 2 and '$' .. #text .. '\r\n' .. text .. '\r\n' or ',' .. text .. '\r\n'
    return count
  end
  special = rawget(value, 'big_number')
  if type(special) == 'string' then
    local text = special:gsub('[\r\n]', ' ')
    out[count] = client == 2 and '$' .. #text .. '\r\n' .. text .. '\r\n' or '(' .. text .. '\r\n'
    return count
  end
  special = rawget(value, 'verbatim_string')
  if type(special) == 'table' then
    local form, text = rawget(special, 'format'), rawget(special, 'string')
    if type(form) == 'string' and type(text) == 'string' then
      if client == 2 then
        out[count] = '$' .. #text .. '\r\n' .. text .. '\r\n'
      else
        out[count] = '=' .. #text + 4 .. '\r\n' .. sub(form .. '   ', 1, 3) .. ':' .. text .. '\r\n'
      end
      return count
    end
  end
  local header, size = count, 0
  special = rawget(value, 'map')
  if type(special) == 'table' then
    for key, item in next, shown[special] or special do
      count = reply_bytes(out, count, key, client, script, depth + 1)
      count = reply_bytes(out, count, item, client, script, depth + 1)
      size = size + 1
    end
    out[header] = client == 2 and '*' .. 2 * size .. '\r\n' or '%' .. size .. '\r\n'
    return count
  end
  special = rawget(value, 'set')
  if type(special) == 'table' then
    for key in next, shown[special] or special do
      count = reply_bytes(out, count, key, client, script, depth + 1)
      size = size + 1
    end
    out[header] = (client == 2 and '*' or '~') .. size .. '\r\n'
    return count
  end
  while true do
    local item = rawget(value, size + 1)
    if item == nil then break end
    size = size + 1
    count = reply_bytes(out, count, item, client, script, depth + 1)
  end
  out[header] = '*' .. size .. '\r\n'
  return count
end

-- What a script ended with, for the host: a string, number, boolean or nil as it is; else a kind and its bytes.
local function outcome(client, ok, value)
  local kind = type(value)
  if not ok then
    if kind ~= 'table' then return 'failure', kind == 'string' and value or 'execution failure' end
    local message, source, at = rawget(value, 'err'), rawget(value, 'source'), rawget(value, 'line')
    if type(message) ~= 'string' and type(message) ~= 'number' then message = 'ERR unknown error' end
    if type(source) == 'string' and (type(at) == 'number' or type(at) == 'string') then
      return 'error', tostring(message), rawget(value, 'ignore_error_stats_update') == true, source .. ':' .. tostring(at)
    end
    return 'error', tostring(message), rawget(value, 'ignore_error_stats_update') == true
  end
  if kind ~= 'table' then
    if kind == 'function' or kind == 'thread' or kind == 'userdata' then return nil end
    return value
  end
  local message = rawget(value, 'err')
  if type(message) == 'string' then
    return 'error', message, rawget(value, 'ignore_error_stats_update') == true
  end
  if rawget(value, 'ok') == 'OK' then return 'ok', true end
  local out = {}
  local count = reply_bytes(out, 0, value, client, host.resp(), 0)
  local bytes = concat(out, '', 1, count)
  return 'reply', bytes
end

-- for the host -------------------------------------------------------------------------------------------------

local entry = {}

-- A script or library as bytecode, or nil and the problem. The host changes tail calls in it, and gives it to `adopt`.
function entry.compile(text, name)
  if is_bytecode(text) then return refused_bytecode(name) end
  local chunk, problem = loadstring(text, name)
  if not chunk then return nil, problem end
  local code = string.dump(chunk)
  return code
end

function entry.adopt(code)
  local chunk = loadstring(code, '=(adopted)')
  return setfenv(chunk, global_proxy)
end

local function after_run()
  sethook(hook, '', HOOK_INSTRUCTIONS)
end

function entry.run_script(chunk, client, keys, arguments)
  globals.KEYS = keys or {}
  globals.ARGV = arguments or {}
  return outcome(client, xpcall(chunk, error_handler))
end

function entry.run_function(callback, client, keys, arguments)
  keys, arguments = keys or {}, arguments or {}
  return outcome(client, xpcall(function() return callback(keys, arguments) end, error_handler))
end

entry.after_run = after_run

-- The functions that the library being loaded has registered: the host names each by number.
local callbacks = {}

local function register(position_name, ...)
  local count, first, second = select('#', ...), ...
  local name, description, callback, flags
  if count < 1 or count > 2 then return 'wrong number of arguments to redis.register_function' end
  if count == 2 then
    name, callback = first, second
    if type(name) == 'number' then name = tostring(name) end
    if type(name) ~= 'string' then return 'first argument to redis.register_function must be a string' end
    if type(callback) ~= 'function' then return 'second argument to redis.register_function must be a function' end
  else
    if type(first) ~= 'table' then
      return 'calling redis.register_function with a single argument is only applicable to Lua table '
        .. '(representing named arguments).'
    end
    for key, item in next, shown[first] or first do
      if type(key) ~= 'string' and type(key) ~= 'number' then
        return 'named argument key given to redis.register_function is not a string'
      end
      key = tostring(key):lower()
      if key == 'function_name' then
        if type(item) ~= 'string' and type(item) ~= 'number' then
          return 'function_name argument given to redis.register_function must be a string'
        end
        name = tostring(item)
      elseif key == 'description' then
        if type(item) ~= 'string' and type(item) ~= 'number' then
          return 'description argument given to redis.register_function must be a string'
        end
        description = tostring(item)
      elseif key == 'callback' then
        if type(item) ~= 'function' then
          return 'callback argument given to redis.register_function must be a function'
        end
        callback = item
      elseif key == 'flags' then
        if type(item) ~= 'table' then
          return 'flags argument to redis.register_function must be a table representing function flags'
        end
        local index = 1
        flags = ''
        while item[index] ~= nil do
          if type(item[index]) ~= 'string' and type(item[index]) ~= 'number' then return 'unknown flag given' end
          flags = flags .. tostring(item[index]) .. ','
          index = index + 1
        end
      else
        return 'unknown argument given to redis.register_function'
      end
    end
    if not name then return 'redis.register_function must get a function name argument' end
    if not callback then return 'redis.register_function must get a callback argument' end
  end
  local number, problem = host.register(name, description or false, flags or '')
  if not number then return problem end
  callbacks[number] = callback
  return nil
end

function load_redis.register_function(...)
  local problem = register('register_function', ...)
  if problem then error(error_table('ERR ' .. problem), 0) end
end

-- Run a library's code: nil, or the problem.
function entry.load_library(chunk)
  show(load_globals)
  local ok, problem = pcall(chunk)
  show(globals)
  if ok then return nil end
  if type(problem) == 'table' then return tostring(rawget(problem, 'err')) end
  return 'ERR ' .. tostring(problem)
end

function entry.callback(number)
  return callbacks[number]
end

function entry.forget(number)
  callbacks[number] = nil
end

-- What reaches Lua from Python is kept by us; what is left in the real globals is for nobody.
for name in next, _G do rawset(_G, name, nil) end
for name, item in next, { _G = _G, pcall = pcall, error = error } do rawset(_G, name, item) end

return entry
