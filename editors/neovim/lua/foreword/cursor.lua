-- Tells the server where the cursor rests, so that the model reads that place before anything is typed there.

local api = vim.api
local M = {}

local RESTS_MS = 1500 -- whoever stays at a place for so long looks at it; whoever goes through a file does not

local timer = assert(vim.uv.new_timer())

local rests = vim.schedule_wrap(function()
  local buf, window = api.nvim_get_current_buf(), api.nvim_get_current_win()
  local mode = api.nvim_get_mode().mode
  if require('foreword.pause').paused(buf) or not (mode == 'n' or vim.startswith(mode, 'i')) then
    return
  end
  for _, client in ipairs(vim.lsp.get_clients({ bufnr = buf, name = 'foreword' })) do
    client:notify('foreword/cursor', vim.lsp.util.make_position_params(window, client.offset_encoding))
  end
end)

--- The cursor is elsewhere, or in another buffer.
function M.moved()
  timer:start(RESTS_MS, 0, rests)
end

return M
