-- bit: BitOp 1.0.2, 32-bit operations on numbers. The server computes; here are the checks of arguments.
-- Arguments: the support table, and what computes: it takes an operation's name and its numbers.
local support, compute = ...
local select, type = select, type
local rep, sub = string.rep, string.sub
local bit = {}

local function declare(name, least)
  bit[name] = function(...)
    local given = select('#', ...)
    local first, second = ...
    first = support.number(1, name, given, first)
    if least == 2 then second = support.number(2, name, given, second) end
    local found = compute(name, first, second)
    return found
  end
end

for _, name in next, { 'tobit', 'bnot', 'bswap' } do declare(name, 1) end
for _, name in next, { 'lshift', 'rshift', 'arshift', 'rol', 'ror' } do declare(name, 2) end

for _, name in next, { 'band', 'bor', 'bxor' } do
  bit[name] = function(...)
    local given = select('#', ...)
    local found = compute('tobit', support.number(1, name, given, (...)))
    for index = 2, given do
      found = compute(name, found, support.number(index, name, given, (select(index, ...))))
    end
    return found
  end
end

function bit.tohex(...)
  local given, number, digits = select('#', ...), ...
  number = support.number(1, 'tohex', given, number)
  digits = digits == nil and 8 or support.number(2, 'tohex', given, digits)
  local text = compute('tohex', number, digits)
  return text
end

return bit
