-- Windows with text that belongs to no file.

local M = {}

--- Shows lines in a split; the same name takes the same window again.
---@param name string
---@param lines string[]
---@return integer buf
---@return integer win
function M.show(name, lines)
  local full = 'foreword://' .. name
  local buf = vim.fn.bufnr('^' .. full .. '$')
  if buf == -1 then
    buf = vim.api.nvim_create_buf(false, true)
    vim.api.nvim_buf_set_name(buf, full)
    vim.bo[buf].bufhidden = 'wipe'
    vim.keymap.set('n', 'q', '<Cmd>close<CR>', { buffer = buf, nowait = true, desc = 'Close' })
  end
  vim.bo[buf].modifiable = true
  vim.api.nvim_buf_set_lines(buf, 0, -1, false, lines)
  vim.bo[buf].modifiable = false
  local win = vim.fn.bufwinid(buf)
  if win == -1 then
    vim.cmd('botright split')
    win = vim.api.nvim_get_current_win()
    vim.api.nvim_win_set_buf(win, buf)
    vim.wo[win].number, vim.wo[win].relativenumber, vim.wo[win].spell = false, false, false
  else
    vim.api.nvim_set_current_win(win)
  end
  return buf, win
end

--- Runs a subcommand of `foreword` beside the editor and shows what it prints.
---@param name string
---@param arguments string[]
function M.command(name, arguments)
  local program = require('foreword.options').current.cmd[1]
  local missing = require('foreword.server').missing()
  if missing then
    vim.notify('foreword: ' .. missing, vim.log.levels.WARN)
    return
  end
  local command = vim.list_extend({ program }, arguments)
  M.show(name, { table.concat(command, ' ') .. ' …' })
  vim.system(
    command,
    { text = true, env = { NO_COLOR = '1', COLUMNS = tostring(vim.o.columns) } },
    function(done)
      vim.schedule(function()
        local told = vim.trim((done.stdout or '') .. '\n' .. (done.stderr or ''))
        local lines = vim.split(told, '\n')
        if done.code ~= 0 then
          table.insert(lines, ('(ended with status %d)'):format(done.code))
        end
        if vim.fn.bufnr('^foreword://' .. name .. '$') ~= -1 then
          M.show(name, lines)
        end
      end)
    end
  )
end

return M
