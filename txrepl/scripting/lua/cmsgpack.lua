-- cmsgpack: MessagePack as lua-cmsgpack 0.4.0 reads and writes it.
-- Arguments: the support table, the integers, and how a double becomes bytes and back.
local support, numbers, float_bytes, float_value = ...
local type, next, rawget, select, unpack, tostring = type, next, rawget, select, unpack, tostring
local floor, huge = math.floor, math.huge
local char, byte, sub, rep, reverse = string.char, string.byte, string.sub, string.rep, string.reverse
local concat = table.concat
local fail, big, read_little = support.fail, numbers.big, numbers.read_little
local error = error
local NESTING_MAX = 16
local DEPTH_MAX = 7900 -- where the original runs out of Lua's stack
local TWO_31, TWO_32, TWO_63 = 2 ^ 31, 2 ^ 32, 2 ^ 63

local function number_bytes(number)
  if number ~= number or number >= TWO_63 or number < -TWO_63 or floor(number) ~= number then
    local single = float_bytes(number, 4)
    if float_value(single) == number then return '\202' .. single end
    return '\203' .. float_bytes(number, 8)
  end
  if number >= 0 then
    if number <= 127 then return char(number) end
    if number <= 255 then return '\204' .. char(number) end
    if number <= 65535 then return '\205' .. big(number, 2) end
    if number < TWO_32 then return '\206' .. big(number, 4) end
    return '\207' .. big(number, 8)
  end
  if number >= -32 then return char(256 + number) end
  if number >= -128 then return '\208' .. char(256 + number) end
  if number >= -32768 then return '\209' .. big(number, 2) end
  if number >= -TWO_31 then return '\210' .. big(number, 4) end
  return '\211' .. big(number, 8)
end

local function header(length, small, small_most, two, four)
  if length <= small_most then return char(small + length) end
  if length <= 65535 then return two .. big(length, 2) end
  return four .. big(length, 4)
end

local function string_header(length)
  if length < 32 then return char(160 + length) end
  if length <= 255 then return '\217' .. char(length) end
  local found = header(length, 0, -1, '\218', '\219')
  return found
end

-- Keys 1 to n without a hole, none else; and how many keys there are.
local function shape(value)
  local count, most, is_array = 0, 0, true
  for key in next, value do
    count = count + 1
    if type(key) ~= 'number' or key <= 0 or floor(key) ~= key or key == huge then
      is_array = false
    elseif key > most then
      most = key
    end
  end
  return is_array and most == count, count
end

local function write(out, count, value, level)
  local kind = type(value)
  count = count + 1
  if kind == 'string' then
    out[count] = string_header(#value)
    out[count + 1] = value
    return count + 1
  elseif kind == 'number' then
    out[count] = number_bytes(value)
  elseif kind == 'boolean' then
    out[count] = value and '\195' or '\194'
  elseif kind == 'table' and level < NESTING_MAX then
    local is_array, size = shape(value)
    if is_array then
      out[count] = header(size, 144, 15, '\220', '\221')
      for index = 1, size do count = write(out, count, value[index], level + 1) end
    else
      out[count] = header(size, 128, 15, '\222', '\223')
      for key, item in next, value do
        count = write(out, count, key, level + 1)
        count = write(out, count, item, level + 1)
      end
    end
  else
    out[count] = '\192'
  end
  return count
end

local cmsgpack = { _NAME = 'cmsgpack', _VERSION = 'lua-cmsgpack 0.4.0',
  _COPYRIGHT = 'Copyright (C) 2012, Salvatore Sanfilippo', _DESCRIPTION = 'MessagePack C implementation for Lua' }

function cmsgpack.pack(...)
  local given = select('#', ...)
  if given == 0 then support.bad_argument(0, 'pack', 'MessagePack pack needs input.') end
  local values = { ... }
  local out, count = {}, 0
  for index = 1, given do count = write(out, count, values[index], 0) end
  local packed = concat(out, '', 1, count)
  return packed
end

local function missing()
  fail('Missing bytes in input.')
end

local function need(text, at, size)
  if at + size - 1 > #text then missing() end
end

local function read_unsigned(text, at, size)
  need(text, at, size)
  local value = 0
  for index = at, at + size - 1 do value = value * 256 + byte(text, index) end
  return value
end

local function read_integer(text, at, size, signed)
  need(text, at, size)
  local found = read_little(reverse(sub(text, at, at + size - 1)), 1, size, signed)
  return found
end

local read

local function read_text(text, at, length)
  need(text, at, length)
  return sub(text, at, at + length - 1), at + length
end

local function read_array(text, at, length, depth)
  if depth > DEPTH_MAX then fail('stack overflow (in function mp_decode_to_lua_array)') end
  local array = {}
  for index = 1, length do array[index], at = read(text, at, depth + 1) end
  return array, at
end

local function read_map(text, at, length, depth)
  if depth > DEPTH_MAX then fail('stack overflow (in function mp_decode_to_lua_hash)') end
  local map = {}
  for _ = 1, length do
    local key, value
    key, at = read(text, at, depth + 1)
    value, at = read(text, at, depth + 1)
    if key == nil then error('table index is nil', 0) end
    if key ~= key then error('table index is NaN', 0) end
    map[key] = value
  end
  return map, at
end

function read(text, at, depth)
  local code = byte(text, at)
  if not code then missing() end
  local value
  at = at + 1
  if code < 128 then return code, at end
  if code >= 224 then return code - 256, at end
  if code < 144 then
    value, at = read_map(text, at, code - 128, depth)
  elseif code < 160 then
    value, at = read_array(text, at, code - 144, depth)
  elseif code < 192 then
    value, at = read_text(text, at, code - 160)
  elseif code == 192 then
    value = nil
  elseif code == 194 then
    value = false
  elseif code == 195 then
    value = true
  elseif code == 202 or code == 203 then
    local size = code == 202 and 4 or 8
    need(text, at, size)
    value, at = float_value(sub(text, at, at + size - 1)), at + size
  elseif code >= 204 and code <= 207 then
    local size = 2 ^ (code - 204)
    value, at = read_integer(text, at, size, code == 207), at + size -- 64 bits come out signed
  elseif code >= 208 and code <= 211 then
    local size = 2 ^ (code - 208)
    value, at = read_integer(text, at, size, true), at + size
  elseif code >= 217 and code <= 219 then
    local size = 2 ^ (code - 217)
    value, at = read_text(text, at + size, read_unsigned(text, at, size))
  elseif code == 220 or code == 221 then
    local size = code == 220 and 2 or 4
    value, at = read_array(text, at + size, read_unsigned(text, at, size), depth)
  elseif code == 222 or code == 223 then
    local size = code == 222 and 2 or 4
    value, at = read_map(text, at + size, read_unsigned(text, at, size), depth)
  else
    fail('Bad data format in input.')
  end
  return value, at
end

local function unpack_from(text, limit, offset, all)
  if offset < 0 or limit < 0 then
    fail('Invalid request to unpack with offset of ' .. offset .. ' and limit of ' .. #text .. '.')
  elseif offset > #text then
    fail('Start offset ' .. offset .. ' greater than input length ' .. #text .. '.')
  end
  local values, count, at = {}, 0, offset + 1
  while at <= #text and (all or count < limit) do
    count = count + 1
    values[count], at = read(text, at, 0)
  end
  if count > DEPTH_MAX then fail('stack overflow (too many values)') end
  return values, count, at > #text and -1 or at - 1
end

function cmsgpack.unpack(...)
  local text = support.text(1, 'unpack', select('#', ...), (...))
  local values, count = unpack_from(text, 0, 0, true)
  return unpack(values, 1, count)
end

function cmsgpack.unpack_one(...)
  local count, text, offset = select('#', ...), ...
  text = support.text(1, 'unpack_one', count, text)
  offset = offset == nil and 0 or support.integer(2, 'unpack_one', count, offset)
  local values, found, behind = unpack_from(text, 1, offset, false)
  return behind, unpack(values, 1, found)
end

function cmsgpack.unpack_limit(...)
  local count, text, limit, offset = select('#', ...), ...
  text = support.text(1, 'unpack_limit', count, text)
  limit = support.integer(2, 'unpack_limit', count, limit)
  offset = offset == nil and 0 or support.integer(3, 'unpack_limit', count, offset)
  local values, found, behind = unpack_from(text, limit, offset, limit == 0 and offset == 0)
  if limit == 0 and offset == 0 then return unpack(values, 1, found) end
  return behind, unpack(values, 1, found)
end

return cmsgpack
