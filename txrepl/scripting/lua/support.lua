-- What the libraries share: errors that name the line of the script, and the checks of arguments that C libraries
-- make with luaL_check…. Every chunk of ours is named =(redis), so that a walk over the stack can step over it.
local debug, error, type, tonumber, tostring, select, collectgarbage, floor =
  debug, error, type, tonumber, tostring, select, collectgarbage, math.floor
local getinfo, as_function = debug.getinfo, python.as_function
local INTERNAL = '=(redis)'

local NO_ROOM = 'not enough memory'

local support = { INTERNAL = INTERNAL, NO_ROOM = NO_ROOM }

-- The frame that called into us, as luaL_where(1) sees it from a C function; '' where that is no Lua code. And what
-- it calls us, and how.
local function where()
  local level, lost = 3, false
  while true do
    local info = getinfo(level, 'Sl')
    if not info then return '' end
    if info.source ~= INTERNAL and info.what ~= 'tail' then
      local called = not lost and getinfo(level - 1, 'n')
      local place = info.currentline > 0 and info.short_src .. ':' .. info.currentline .. ': ' or ''
      if not called then return place end
      return place, called.name or '?', called.namewhat
    end
    lost = info.what == 'tail'
    level = level + 1
  end
end

-- luaL_error
function support.fail(message)
  local place = where()
  error(place .. message, 0)
end
local fail = support.fail

-- luaL_argerror
function support.bad_argument(position, name, message)
  local place, called, how = where()
  name = called or name
  if how == 'method' then
    position = position - 1
    if position == 0 then error(place .. "calling '" .. name .. "' on bad self (" .. message .. ')', 0) end
  end
  error(place .. 'bad argument #' .. position .. " to '" .. name .. "' (" .. message .. ')', 0)
end
local bad_argument = support.bad_argument

function support.expected(wanted, position, name, count, value)
  local got = position > count and 'no value' or type(value)
  bad_argument(position, name, wanted .. ' expected, got ' .. got)
end
local expected = support.expected

-- luaL_checknumber
function support.number(position, name, count, value)
  if type(value) == 'number' then return value end
  local found = type(value) == 'string' and tonumber(value) or nil
  if found == nil then expected('number', position, name, count, value) end
  return found
end

-- luaL_checkinteger: the cast of C drops the fraction
function support.integer(position, name, count, value)
  local found = support.number(position, name, count, value)
  if found ~= found then return 0 end
  return found < 0 and -floor(-found) or floor(found)
end

-- luaL_checklstring
function support.text(position, name, count, value)
  if type(value) == 'string' then return value end
  if type(value) == 'number' then return tostring(value) end
  expected('string', position, name, count, value)
end

-- A callable of the host as a function, which has no attributes.
support.as_function = as_function

-- The same for one that gives `nil, true` when Lua has no memory left for what it would give: Python must not be
-- jumped over by the error that Lua would make of that.
function support.guard(ask)
  ask = as_function(ask)
  return function(...)
    local found, problem = ask(...)
    if problem == true then
      collectgarbage()
      found, problem = ask(...)
      if problem == true then error(NO_ROOM, 0) end
    end
    return found, problem
  end
end

return support
