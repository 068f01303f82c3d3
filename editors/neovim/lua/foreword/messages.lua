-- What the server logs, kept for :Foreword log; Neovim's own log has it only from warnings on.

local M = {}

local KEPT = 500 -- lines; more than that nobody reads
local KINDS = { 'error', 'warning', 'info', 'log', 'debug' }

---@type string[]
M.lines = {}

--- The handler of window/logMessage.
function M.keep(_, params)
  local at = os.date('%H:%M:%S')
  for _, line in ipairs(vim.split(params.message, '\n')) do
    table.insert(M.lines, ('%s %-7s %s'):format(at, KINDS[params.type] or '', line))
  end
  while #M.lines > KEPT do
    table.remove(M.lines, 1)
  end
end

return M
