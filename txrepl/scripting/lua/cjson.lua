-- cjson: JSON as lua-cjson 2.1.0 reads and writes it, with Redis's limits.
-- Arguments: the support table, the value that stands for null.
local support, null = ...
local type, next, rawget, tostring, tonumber, select, pairs = type, next, rawget, tostring, tonumber, select, pairs
local floor, huge = math.floor, math.huge
local format, byte, char, find, sub, gsub, lower = string.format, string.byte, string.char, string.find, string.sub,
  string.gsub, string.lower
local concat = table.concat
local fail, bad_argument = support.fail, support.bad_argument
local INT_MAX, INT_MIN = 2147483647, -2147483648

local escapes = { ['"'] = '\\"', ['\\'] = '\\\\', ['/'] = '\\/', ['\b'] = '\\b', ['\f'] = '\\f', ['\n'] = '\\n',
  ['\r'] = '\\r', ['\t'] = '\\t', ['\127'] = '\\u007f' }
for code = 0, 31 do
  local character = char(code)
  escapes[character] = escapes[character] or format('\\u%04x', code)
end

local unescapes = { ['"'] = '"', ['\\'] = '\\', ['/'] = '/', b = '\b', f = '\f', n = '\n', r = '\r', t = '\t' }

-- What the first character of a token says; '?' stands for those that need a look at more.
local kinds = { ['{'] = 'T_OBJ_BEGIN', ['}'] = 'T_OBJ_END', ['['] = 'T_ARR_BEGIN', [']'] = 'T_ARR_END',
  [':'] = 'T_COLON', [','] = 'T_COMMA', ['\0'] = 'T_END', [''] = 'T_END' }
for character in ('"+-0123456789fiInNt'):gmatch('.') do kinds[character] = '?' end

local function utf8(code)
  if code < 0x80 then return char(code) end
  if code < 0x800 then return char(0xC0 + floor(code / 64), 0x80 + code % 64) end
  if code < 0x10000 then
    return char(0xE0 + floor(code / 4096), 0x80 + floor(code / 64) % 64, 0x80 + code % 64)
  end
  return char(0xF0 + floor(code / 262144), 0x80 + floor(code / 4096) % 64, 0x80 + floor(code / 64) % 64,
    0x80 + code % 64)
end

local function new()
  local sparse_convert, sparse_ratio, sparse_safe = false, 2, 10
  local encode_depth, decode_depth = 1000, 1000
  local precision, number_format = 14, '%.14g'
  local keep_buffer = true
  local encode_invalid, decode_invalid = false, true
  local cjson = { _NAME = 'cjson', _VERSION = '2.1.0', null = null, new = new }

  -- writing ----------------------------------------------------------------------------------------------------

  local function refuse(value, reason)
    fail('Cannot serialise ' .. type(value) .. ': ' .. reason)
  end

  local function number_text(number)
    if number ~= number or number == huge or number == -huge then
      if not encode_invalid then refuse(number, 'must not be NaN or Inf') end
      if encode_invalid == 'null' then return 'null' end
      if number ~= number then return 'nan' end
      return number > 0 and 'inf' or '-inf'
    end
    return format(number_format, number)
  end

  local function string_text(text)
    if find(text, '[%c"/\\\127]') then text = gsub(text, '[%z\1-\31"/\\\127]', escapes) end
    return '"' .. text .. '"'
  end

  -- How long an array the table is; 0 for an object.
  local function array_length(value)
    local most, items = 0, 0
    for key in next, value do
      if type(key) ~= 'number' or key < 1 or floor(key) ~= key then return 0 end
      if key > most then most = key > INT_MAX and INT_MIN or key end -- the original counts in an int
      items = items + 1
    end
    if sparse_ratio > 0 and most > items * sparse_ratio and most > sparse_safe then
      if not sparse_convert then refuse(value, 'excessively sparse array') end
      return 0
    end
    return most
  end

  local write

  local function write_table(out, count, value, depth)
    depth = depth + 1
    if depth > encode_depth then fail('Cannot serialise, excessive nesting (' .. depth .. ')') end
    local length = array_length(value)
    if length > 0 then
      count = count + 1
      out[count] = '['
      for index = 1, length do
        if index > 1 then
          count = count + 1
          out[count] = ','
        end
        count = write(out, count, rawget(value, index), depth)
      end
      out[count + 1] = ']'
      return count + 1
    end
    count = count + 1
    out[count] = '{'
    local first = true
    for key, item in next, value do
      local text
      if type(key) == 'number' then
        text = '"' .. number_text(key) .. '":'
      elseif type(key) == 'string' then
        text = string_text(key) .. ':'
      else
        refuse(key, 'table key must be a number or string')
      end
      count = count + 1
      out[count] = first and text or ',' .. text
      first = false
      count = write(out, count, item, depth)
    end
    out[count + 1] = '}'
    return count + 1
  end

  function write(out, count, value, depth)
    local kind = type(value)
    if kind == 'table' then
      count = write_table(out, count, value, depth)
      return count
    end
    count = count + 1
    if kind == 'string' then
      out[count] = string_text(value)
    elseif kind == 'number' then
      out[count] = number_text(value)
    elseif kind == 'boolean' then
      out[count] = tostring(value)
    elseif value == nil or value == null then
      out[count] = 'null'
    else
      refuse(value, 'type not supported')
    end
    return count
  end

  function cjson.encode(...)
    if select('#', ...) ~= 1 then bad_argument(1, 'encode', 'expected 1 argument') end
    local out = {}
    local count = write(out, 0, (...), 0)
    local text = concat(out, '', 1, count)
    return text
  end

  -- reading ----------------------------------------------------------------------------------------------------

  -- Each reading function takes the text and a position, and gives what it read and the position behind it.
  -- A token is its kind, its value, the position behind it, and where it stands.

  local function token_error(reason, at)
    return 'T_ERROR', reason, at, at
  end

  local function read_string(text, start)
    local at = start + 1
    local parts, count
    while true do
      local stop = find(text, '["\\%z]', at)
      if not stop then return token_error('unexpected end of string', #text + 1) end
      local what = sub(text, stop, stop)
      if what == '"' then
        local tail = sub(text, at, stop - 1)
        if not parts then return 'T_STRING', tail, stop + 1, start end
        parts[count + 1] = tail
        local whole = concat(parts, '', 1, count + 1)
        return 'T_STRING', whole, stop + 1, start
      elseif what == '\0' then
        return token_error('unexpected end of string', stop)
      end
      if not parts then parts, count = {}, 0 end
      parts[count + 1] = sub(text, at, stop - 1)
      local escape = sub(text, stop + 1, stop + 1)
      if escape == 'u' then
        local digits = find(text, '^%x%x%x%x', stop + 2)
        local code = digits and tonumber(sub(text, stop + 2, stop + 5), 16)
        at = stop + 6
        if code and code >= 0xD800 and code <= 0xDFFF then
          local low = code < 0xDC00 and find(text, '^\\u[dD][c-fC-F]%x%x', at)
            and tonumber(sub(text, at + 2, at + 5), 16)
          code = low and (code - 0xD800) * 1024 + low - 0xDC00 + 0x10000
          at = at + 6
        end
        if not code then return token_error('invalid unicode escape code', stop) end
        parts[count + 2] = utf8(code)
      else
        local character = unescapes[escape]
        if not character then return token_error('invalid escape code', stop) end
        parts[count + 2] = character
        at = stop + 2
      end
      count = count + 2
    end
  end

  -- Forms that strtod reads and JSON does not know.
  local function is_invalid_number(text, at)
    local first = sub(text, at, at)
    if first == '+' then return true end
    if first == '-' then
      at = at + 1
      first = sub(text, at, at)
    end
    if first == '0' then return find(text, '^[xX%d]', at + 1) ~= nil end
    if first <= '9' then return false end
    local word = lower(sub(text, at, at + 2))
    return word == 'inf' or word == 'nan'
  end

  local function read_number(text, start)
    local _, stop = find(text, '^[+-]?', start)
    local sign = sub(text, start, start) == '-' and -1 or 1
    local word = lower(sub(text, stop + 1, stop + 3))
    if word == 'inf' or word == 'nan' then
      local value = word == 'inf' and sign * huge or sign * -(0 / 0)
      if lower(sub(text, stop + 1, stop + 8)) == 'infinity' then return 'T_NUMBER', value, stop + 9, start end
      local _, tail = find(text, word == 'nan' and '^%([%w_]*%)' or '^$', stop + 4)
      return 'T_NUMBER', value, word == 'nan' and tail and tail + 1 or stop + 4, start
    end
    local _, last = find(text, '^0[xX]%x+', stop + 1)
    if last then
      local value = 0
      for digit in text:sub(stop + 3, last):gmatch('.') do value = value * 16 + tonumber(digit, 16) end
      local _, fraction = find(text, '^%.%x*', last + 1)
      if fraction then
        local weight = 1 / 16
        for digit in text:sub(last + 2, fraction):gmatch('.') do
          value = value + tonumber(digit, 16) * weight
          weight = weight / 16
        end
        last = fraction
      end
      local _, power = find(text, '^[pP][+-]?%d+', last + 1)
      if power then
        value = value * 2 ^ tonumber((gsub(sub(text, last + 2, power), '^%+', '')))
        last = power
      end
      return 'T_NUMBER', sign * value, last + 1, start
    end
    _, last = find(text, '^%d+%.?%d*', stop + 1)
    if not last then _, last = find(text, '^%.%d+', stop + 1) end
    if not last then return token_error('invalid number', start) end
    local _, power = find(text, '^[eE][+-]?%d+', last + 1)
    last = power or last
    return 'T_NUMBER', tonumber((gsub(sub(text, start, last), '^%+', ''))), last + 1, start
  end

  local function next_token(text, at)
    at = find(text, '[^ \t\r\n]', at) or #text + 1
    local first = sub(text, at, at)
    local kind = kinds[first]
    if not kind then return token_error('invalid token', at) end
    if kind ~= '?' then return kind, nil, kind == 'T_END' and at or at + 1, at end
    local code = byte(first)
    if code == 34 then
      local type_, value, behind, where_ = read_string(text, at)
      return type_, value, behind, where_
    end
    if code == 45 or (code >= 48 and code <= 57) then
      if not decode_invalid and is_invalid_number(text, at) then return token_error('invalid number', at) end
      local type_, value, behind, where_ = read_number(text, at)
      return type_, value, behind, where_
    end
    if sub(text, at, at + 3) == 'true' then return 'T_BOOLEAN', true, at + 4, at end
    if sub(text, at, at + 4) == 'false' then return 'T_BOOLEAN', false, at + 5, at end
    if sub(text, at, at + 3) == 'null' then return 'T_NULL', null, at + 4, at end
    if decode_invalid and is_invalid_number(text, at) then
      local type_, value, behind, where_ = read_number(text, at)
      return type_, value, behind, where_
    end
    return token_error('invalid token', at)
  end

  local function unexpected(wanted, kind, value, at)
    local found = kind == 'T_ERROR' and value or kind
    fail('Expected ' .. wanted .. ' but found ' .. found .. ' at character ' .. at)
  end

  local function descend(depth, behind)
    if depth > decode_depth then
      fail('Found too many nested data structures (' .. depth .. ') at character ' .. behind - 1)
    end
  end

  local read_value

  local function read_object(text, at, depth)
    descend(depth, at)
    local object = {}
    local kind, value, behind, stands = next_token(text, at)
    if kind == 'T_OBJ_END' then return object, behind end
    while true do
      if kind ~= 'T_STRING' then unexpected('object key string', kind, value, stands) end
      local key = value
      kind, value, behind, stands = next_token(text, behind)
      if kind ~= 'T_COLON' then unexpected('colon', kind, value, stands) end
      kind, value, behind, stands = next_token(text, behind)
      object[key], behind = read_value(text, kind, value, behind, stands, depth)
      kind, value, behind, stands = next_token(text, behind)
      if kind == 'T_OBJ_END' then return object, behind end
      if kind ~= 'T_COMMA' then unexpected('comma or object end', kind, value, stands) end
      kind, value, behind, stands = next_token(text, behind)
    end
  end

  local function read_array(text, at, depth)
    descend(depth, at)
    local array, count = {}, 0
    local kind, value, behind, stands = next_token(text, at)
    if kind == 'T_ARR_END' then return array, behind end
    while true do
      count = count + 1
      array[count], behind = read_value(text, kind, value, behind, stands, depth)
      kind, value, behind, stands = next_token(text, behind)
      if kind == 'T_ARR_END' then return array, behind end
      if kind ~= 'T_COMMA' then unexpected('comma or array end', kind, value, stands) end
      kind, value, behind, stands = next_token(text, behind)
    end
  end

  function read_value(text, kind, value, behind, stands, depth)
    if kind == 'T_STRING' or kind == 'T_NUMBER' or kind == 'T_BOOLEAN' or kind == 'T_NULL' then return value, behind end
    if kind == 'T_OBJ_BEGIN' then
      local object, after = read_object(text, behind, depth + 1)
      return object, after
    elseif kind == 'T_ARR_BEGIN' then
      local array, after = read_array(text, behind, depth + 1)
      return array, after
    end
    unexpected('value', kind, value, stands)
  end

  function cjson.decode(...)
    local count = select('#', ...)
    if count ~= 1 then bad_argument(1, 'decode', 'expected 1 argument') end
    local text = support.text(1, 'decode', count, (...))
    if #text >= 2 and (byte(text, 1) == 0 or byte(text, 2) == 0) then
      fail('JSON parser does not support UTF-16 or UTF-32')
    end
    local kind, value, behind, stands = next_token(text, 1)
    local result
    result, behind = read_value(text, kind, value, behind, stands, 0)
    kind, value, behind, stands = next_token(text, behind)
    if kind ~= 'T_END' then unexpected('the end', kind, value, stands) end
    return result
  end

  -- options ----------------------------------------------------------------------------------------------------

  local function options(most, name, ...)
    if select('#', ...) > most then bad_argument(most + 1, name, 'found too many arguments') end
  end

  local function integer_option(position, name, value, current, least, most)
    if value == nil then return current end
    local found = support.integer(position, name, position, value)
    if found < least or found > most then
      bad_argument(1, name, 'expected integer between ' .. least .. ' and ' .. most)
    end
    return found
  end

  local function switch_option(position, name, value, current, words)
    if value == nil then return current end
    if type(value) == 'boolean' then return value end
    local word = support.text(position, name, position, value)
    local found = words[word]
    if found == nil then bad_argument(position, name, "invalid option '" .. word .. "'") end
    return found
  end

  local switch = { off = false, on = true }
  local switch_or_null = { off = false, on = true, null = 'null' }

  function cjson.encode_sparse_array(...)
    options(3, 'encode_sparse_array', ...)
    local convert, ratio, safe = ...
    sparse_convert = switch_option(1, 'encode_sparse_array', convert, sparse_convert, switch)
    sparse_ratio = integer_option(2, 'encode_sparse_array', ratio, sparse_ratio, 0, INT_MAX)
    sparse_safe = integer_option(3, 'encode_sparse_array', safe, sparse_safe, 0, INT_MAX)
    return sparse_convert, sparse_ratio, sparse_safe
  end

  function cjson.encode_max_depth(...)
    options(1, 'encode_max_depth', ...)
    encode_depth = integer_option(1, 'encode_max_depth', (...), encode_depth, 1, INT_MAX)
    return encode_depth
  end

  function cjson.decode_max_depth(...)
    options(1, 'decode_max_depth', ...)
    decode_depth = integer_option(1, 'decode_max_depth', (...), decode_depth, 1, INT_MAX)
    return decode_depth
  end

  function cjson.encode_number_precision(...)
    options(1, 'encode_number_precision', ...)
    precision = integer_option(1, 'encode_number_precision', (...), precision, 1, 14)
    number_format = '%.' .. precision .. 'g'
    return precision
  end

  function cjson.encode_keep_buffer(...)
    options(1, 'encode_keep_buffer', ...)
    keep_buffer = switch_option(1, 'encode_keep_buffer', (...), keep_buffer, switch)
    return keep_buffer
  end

  function cjson.encode_invalid_numbers(...)
    options(1, 'encode_invalid_numbers', ...)
    encode_invalid = switch_option(1, 'encode_invalid_numbers', (...), encode_invalid, switch_or_null)
    return encode_invalid
  end

  function cjson.decode_invalid_numbers(...)
    options(1, 'decode_invalid_numbers', ...)
    decode_invalid = switch_option(1, 'decode_invalid_numbers', (...), decode_invalid, switch)
    return decode_invalid
  end

  return cjson
end

return new()
