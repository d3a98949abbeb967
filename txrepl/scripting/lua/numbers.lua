-- Integers as bytes, for cmsgpack and struct: doubles hold them, as everywhere in Lua 5.1.
local floor, char, byte, concat, reverse = math.floor, string.char, string.byte, table.concat, string.reverse
local TWO_32, TWO_63, TWO_64 = 2 ^ 32, 2 ^ 63, 2 ^ 64
local numbers = {}

-- `size` bytes of the 64-bit integer that C casts the number to, lowest first; bytes past the eighth are 0.
local function little(number, size)
  local low, high
  if number < 0 then
    local magnitude = number < -TWO_63 and TWO_63 or floor(-number)
    low, high = magnitude % TWO_32, floor(magnitude / TWO_32)
    high = (TWO_32 - high - (low > 0 and 1 or 0)) % TWO_32
    low = (TWO_32 - low) % TWO_32
  elseif number ~= number or number >= TWO_64 then
    low, high = 0, 0
  else
    number = floor(number)
    low, high = number % TWO_32, floor(number / TWO_32)
  end
  local out = {}
  for index = 1, size do
    if index == 5 then low = high end
    local rest = low % 256
    out[index] = index > 8 and '\0' or char(rest)
    low = (low - rest) / 256
  end
  return concat(out)
end
numbers.little = little

function numbers.big(number, size)
  return (reverse(little(number, size)))
end

-- The unsigned or signed 64-bit integer in up to eight bytes, lowest first, as the nearest double.
function numbers.read_little(text, from, size, signed)
  if size > 8 then size = 8 end
  local low, high = 0, 0
  local negative = signed and size > 0 and byte(text, from + size - 1) >= 128
  for index = size, 1, -1 do
    local value = byte(text, from + index - 1)
    if negative then value = 255 - value end
    if index > 4 then high = high * 256 + value else low = low * 256 + value end
  end
  if negative then
    low = low + 1
    if low == TWO_32 and size >= 4 then
      low, high = 0, high + 1
    end
    return -(high * TWO_32 + low)
  end
  return high * TWO_32 + low
end

return numbers
