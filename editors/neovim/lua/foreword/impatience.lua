-- Who types before the server or its model is ready is given a suggestion when it is, without another key.

local api = vim.api
local M = {}

local RECENT_MS = 2 * 60 * 1000 -- whoever has typed longer ago reads: grey text out of nowhere would be a surprise

---@class foreword.Typed
---@field buf integer
---@field tick integer
---@field at integer milliseconds

---@type foreword.Typed? the text as somebody left it while nothing could be suggested
local typed
local ready = false

--- Somebody has typed in this buffer.
function M.typed()
  if not ready then
    typed = { buf = api.nvim_get_current_buf(), tick = vim.b.changedtick, at = vim.uv.now() }
  end
end

--- Whether the model can be asked, as the server tells it from time to time.
---@param now boolean
function M.told(now)
  local was, last = ready, typed
  ready = now
  if was or not now or not last then
    return
  end
  typed = nil
  local as_left = last.buf == api.nvim_get_current_buf() and last.tick == vim.b.changedtick
  if as_left and vim.uv.now() - last.at < RECENT_MS and vim.startswith(api.nvim_get_mode().mode, 'i') then
    require('foreword.ghost').offer()
  end
end

return M
