-- struct: C structs as bytes, with Redis's limits.
-- Arguments: the support table, the integers, and how a double becomes bytes and back.
local support, numbers, float_bytes, float_value = ...
local type, select, unpack, tonumber = type, select, unpack, tonumber
local floor = math.floor
local byte, sub, find, rep, reverse = string.byte, string.sub, string.find, string.rep, string.reverse
local concat = table.concat
local fail, bad_argument = support.fail, support.bad_argument
local little, big, read_little = numbers.little, numbers.big, numbers.read_little
local INTEGER_MAX, ALIGN_MAX, INT_MAX = 32, 8, 2147483647
local RESULTS_MAX = 7900

local fixed = { b = 1, B = 1, h = 2, H = 2, l = 8, L = 8, T = 8, f = 4, d = 8, x = 1 }

-- The count behind an option, and the position behind it.
local function count_at(fmt, at, default)
  local _, last = find(fmt, '^%d+', at)
  if not last then return default, at end
  local found = tonumber(sub(fmt, at, last))
  if found > INT_MAX then fail('integral size overflow') end
  return found, last + 1
end

-- How many bytes an option takes, and the position behind its count.
local function size_of(option, fmt, at)
  local size = fixed[option]
  if size then return size, at end
  if option == 'c' then
    size, at = count_at(fmt, at, 1)
    return size, at
  end
  if option == 'i' or option == 'I' then
    size, at = count_at(fmt, at, 4)
    if size > INTEGER_MAX then fail('integral size ' .. size .. ' is larger than limit of ' .. INTEGER_MAX) end
    return size, at
  end
  return 0, at
end

local function padding(total, align, option, size)
  if size == 0 or option == 'c' then return 0 end
  if size > align then size = align end
  local power = 1
  while power < size do power = power * 2 end
  if power ~= size then -- the original masks with size - 1 whatever that is
    local mask, result = size - 1, 0
    local low = size - total % 4294967296
    local bit, left, right = 1, mask, 0
    local function masked(value)
      local kept, weight, m = 0, 1, mask
      value = value % 4294967296
      while m > 0 do
        if m % 2 == 1 and value % 2 == 1 then kept = kept + weight end
        m, value, weight = floor(m / 2), floor(value / 2), weight * 2
      end
      return kept
    end
    return masked(size - masked(total))
  end
  return (size - total % size) % size
end

local function control(name, option, fmt, at, header)
  if option == ' ' then
    return at
  elseif option == '>' then
    header.big = true
  elseif option == '<' then
    header.big = false
  elseif option == '!' then
    local align
    align, at = count_at(fmt, at, ALIGN_MAX)
    local power = 1
    while power < align do power = power * 2 end
    if align == 0 or power ~= align then fail('alignment ' .. align .. ' is not a power of 2') end
    header.align = align
  else
    bad_argument(1, name, "invalid format option '" .. option .. "'")
  end
  return at
end

local function c_string(fmt)
  local stop = find(fmt, '%z')
  return stop and sub(fmt, 1, stop - 1) or fmt
end

local struct = {}

function struct.pack(...)
  local given, arguments = select('#', ...), { ... }
  local fmt = c_string(support.text(1, 'pack', given, arguments[1]))
  local header = { big = false, align = 1 }
  local out, count, total, at, argument = {}, 0, 0, 1, 2
  while at <= #fmt do
    local option, size = sub(fmt, at, at), nil
    size, at = size_of(option, fmt, at + 1)
    local pad = padding(total, header.align, option, size)
    if pad > 0 then
      count = count + 1
      out[count] = rep('\0', pad)
      total = total + pad
    end
    count = count + 1
    if option == 'i' or option == 'I' or (fixed[option] and option ~= 'x' and option ~= 'f' and option ~= 'd') then
      local number = support.number(argument, 'pack', INT_MAX, arguments[argument])
      argument = argument + 1
      out[count] = (header.big and big or little)(number, size)
    elseif option == 'x' then
      out[count] = '\0'
    elseif option == 'f' or option == 'd' then
      local number = support.number(argument, 'pack', INT_MAX, arguments[argument])
      argument = argument + 1
      local bytes = float_bytes(number, size)
      out[count] = header.big and bytes or reverse(bytes)
    elseif option == 'c' or option == 's' then
      local text = support.text(argument, 'pack', INT_MAX, arguments[argument])
      argument = argument + 1
      if size == 0 then size = #text end
      if #text < size then bad_argument(argument, 'pack', 'string too short') end
      out[count] = sub(text, 1, size)
      if option == 's' then
        count = count + 1
        out[count] = '\0'
        size = size + 1
      end
    else
      count = count - 1
      at = control('pack', option, fmt, at, header)
    end
    total = total + size
  end
  local packed = concat(out, '', 1, count)
  return packed
end

function struct.unpack(...)
  local given, fmt, data, start = select('#', ...), ...
  fmt = c_string(support.text(1, 'unpack', given, fmt))
  data = support.text(2, 'unpack', given, data)
  start = start == nil and 1 or support.integer(3, 'unpack', given, start)
  if start == 0 then bad_argument(3, 'unpack', 'offset must be 1 or greater') end
  local position = start - 1
  if position < 0 then position = 2 ^ 64 + position end -- a size_t
  local header = { big = false, align = 1 }
  local values, count, at = {}, 0, 1
  local function room(size)
    if size > #data or position > #data - size then bad_argument(2, 'unpack', 'data string too short') end
  end
  while at <= #fmt do
    local option, size = sub(fmt, at, at), nil
    size, at = size_of(option, fmt, at + 1)
    position = position + padding(position, header.align, option, size)
    room(size)
    if count >= RESULTS_MAX then fail('stack overflow (too many results)') end
    if option == 'x' then
      count = count + 0
    elseif option == 'f' or option == 'd' then
      local bytes = sub(data, position + 1, position + size)
      count = count + 1
      values[count] = float_value(header.big and bytes or reverse(bytes))
    elseif option == 'i' or option == 'I' or fixed[option] then
      local signed = option == 'b' or option == 'h' or option == 'l' or option == 'i'
      local bytes = sub(data, position + 1, position + size)
      count = count + 1
      values[count] = read_little(header.big and reverse(bytes) or bytes, 1, size, signed)
    elseif option == 'c' then
      if size == 0 then
        local previous = count > 0 and tonumber(values[count])
        if not previous then fail("format 'c0' needs a previous size") end
        size = previous < 0 and 2 ^ 64 or floor(previous)
        count = count - 1
        room(size)
      end
      count = count + 1
      values[count] = sub(data, position + 1, position + size)
    elseif option == 's' then
      local stop = find(data, '%z', position + 1)
      if not stop then fail('unfinished string in data') end
      size = stop - position
      count = count + 1
      values[count] = sub(data, position + 1, stop - 1)
    else
      at = control('unpack', option, fmt, at, header)
    end
    position = position + size
  end
  values[count + 1] = position + 1
  return unpack(values, 1, count + 1)
end

function struct.size(...)
  local fmt = c_string(support.text(1, 'size', select('#', ...), (...)))
  local header = { big = false, align = 1 }
  local total, at = 0, 1
  while at <= #fmt do
    local option, size = sub(fmt, at, at), nil
    size, at = size_of(option, fmt, at + 1)
    total = total + padding(total, header.align, option, size)
    if option == 's' then
      bad_argument(1, 'size', "option 's' has no fixed size")
    elseif option == 'c' and size == 0 then
      bad_argument(1, 'size', "option 'c0' has no fixed size")
    end
    if not find(option, '%w') then at = control('size', option, fmt, at, header) end
    total = total + size
  end
  return total
end

return struct
