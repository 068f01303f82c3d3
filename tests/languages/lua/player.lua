-- Players of the game and what they carry.

local json = require("json")
local Vector, Entity = require "vector", require("entity")

local MAX_HEALTH <const> = 100
local GRAVITY = -9.81
local defaults = { name = "nobody", lives = 3 }
VERSION = "1.4"

---A person in the world.
---@class Player : Entity
---@field name string
local Player = {}
Player.__index = Player
setmetatable(Player, { __index = Entity })

Player.States = {
  idle = 1,
  running = 2,
}

--- Makes a player.
-- The name may be left out.
---@param name string?
---@return Player
function Player.new(name)
  local self = setmetatable(Entity.new(), Player)
  self.name = name or defaults.name
  self.position = Vector(0, 0)
  return self
end

-- Lets a player lose health.
function Player:hurt(amount, ...)
  local function clamp(value)
    return math.max(0, math.min(value, MAX_HEALTH))
  end

  local größe = "größer 😀"; self:say(größe, Sounds.OUCH)
  self.health = clamp(self.health - amount)
  if self.health == 0 then
    Player.on_death(self, ...)
  end
end

Player.on_death = function(self, cause)
  self.lives = self.lives - 1
  World.events:emit("death", { player = self, cause = cause })
end

function Player.inventory.add(item)
  table.insert(Player.inventory.items, item)
end

local helpers = {
  round = function(x)
    return math.floor(x + 0.5)
  end,
  ["to string"] = function(x) return tostring(x) end,
}

local function load(path)
  local file <close> = assert(io.open(path))
  return json.decode(file:read("a"))
end

local save = function(path, data)
  local ok, err = pcall(function()
    return json.encode(data)
  end)
  if not ok then
    error(err, 2)
  end
  return write(path, err)
end

function Player:__tostring()
  return ("Player(%s)"):format(self.name)
end

--[[
  Steps the whole world.
  Called once a frame.
]]
function update(dt)
  for index, player in ipairs(World.players) do
    player.position = player.position + Vector.scale(GRAVITY, dt)
  end
  goto done
  ::done::
end

return {
  Player = Player,
  load = load,
  save = save,
  update = update,
  helpers = helpers,
  quit = function() os.exit(0) end,
}
