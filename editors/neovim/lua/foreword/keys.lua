-- Default keys: only where nobody has mapped them. What a key did before it does still, whenever it is not ours.

local M = {}

local PLUGS = {
  accept = '<Plug>(foreword-accept)',
  accept_word = '<Plug>(foreword-accept-word)',
  accept_line = '<Plug>(foreword-accept-line)',
  next = '<Plug>(foreword-next)',
  previous = '<Plug>(foreword-previous)',
}

local UNDO_BREAK = '<C-g>u'

---@type table<string, string> keys that somebody else has mapped, and what they do there
M.taken = {}
---@type table<string, table> our keys, and the mapping that was there before, empty for none
local ours = {}

---@param map table what maparg() tells
---@return string? owner nil where the key is free, or Neovim's own default is on it
local function owner(map)
  if vim.tbl_isempty(map) or (map.desc or ''):match('^vim%.snippet') then
    return nil
  end
  return map.desc or map.rhs or 'a mapping without a description'
end

local function give_back()
  for lhs, before in pairs(ours) do
    vim.keymap.del('i', lhs)
    if not vim.tbl_isempty(before) then
      vim.fn.mapset('i', false, before)
    end
  end
  ours, M.taken = {}, {}
end

---@param keys foreword.Keys|false
function M.set(keys)
  give_back()
  for action, plug in pairs(PLUGS) do
    local lhs = keys and keys[action]
    local before = lhs and vim.fn.maparg(lhs, 'i', false, true)
    if before and owner(before) then
      M.taken[lhs] = owner(before)
    elseif before then
      ours[lhs] = before
      vim.keymap.set('i', lhs, function()
        if require('foreword.ghost').usable(action) then
          return UNDO_BREAK .. plug
        end
        return before.callback and before.callback() or lhs
      end, { expr = true, remap = true, desc = 'Foreword: ' .. action:gsub('_', ' ') })
    end
  end
end

return M
