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

local LEVELS = { vim.log.levels.ERROR, vim.log.levels.WARN, vim.log.levels.INFO }

--- The handler of window/showMessage: what the server tells a person who has asked for something.
function M.show(_, params)
  M.keep(nil, params)
  vim.notify('foreword: ' .. params.message, LEVELS[params.type] or vim.log.levels.INFO)
end

return M
