local Bag = {}

-- Puts something in.
function Bag:put(item)
  self.items[#self.items + 1] = wrap(item
  self:

-- Takes something out.
function Bag:take(index)
  return table.remove(self.items, index)
end

local function size(bag)
  return #bag.items
end

return Bag
