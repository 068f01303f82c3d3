-- Foreword in Neovim: what a configuration calls.

local options = require('foreword.options')

local M = {}

local started = false

--- Whether this Neovim shows ghost text (0.12 or newer).
function M.has_ghost_text()
  return vim.lsp.inline_completion ~= nil
end

--- Optional: changes defaults. Raises an error that names the option that is wrong.
---@param given? foreword.Options
function M.setup(given)
  options.set(given)
  if started then
    require('foreword.keys').set(options.current.keys)
    require('foreword.server').restart()
  end
end

--- Called once, when Neovim has started.
function M.start()
  if started then
    return
  end
  started = true
  if vim.fn.has('nvim-0.11') == 0 then
    local has = tostring(vim.version())
    vim.notify(
      'foreword: Neovim 0.11 or newer is needed (0.12 for ghost text); this is ' .. has,
      vim.log.levels.ERROR
    )
    return
  end
  require('foreword.highlights').link()
  require('foreword.keys').set(options.current.keys)
  require('foreword.events').listen()
  if options.current.enable then
    require('foreword.server').start()
  end
end

--- For a statusline: what was last heard, at no cost. `%{v:lua.require'foreword'.status()}`
---@return string
function M.status()
  return require('foreword.status').text()
end

return M
