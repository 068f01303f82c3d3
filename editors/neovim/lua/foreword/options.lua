-- What can be set with require('foreword').setup(), with defaults, and the checks of what is given.

local M = {}

---@class foreword.Keys
---@field accept? string|false
---@field accept_word? string|false
---@field accept_line? string|false
---@field next? string|false
---@field previous? string|false

---@class foreword.Options
---@field enable? boolean Start the server for every file; else only after :Foreword restart.
---@field cmd? string[] The server's command.
---@field filetypes? string[] Only these; without it every file.
---@field settings? table The server's settings, as docs/protocol.md names them.
---@field inline? boolean Ghost text while typing (Neovim 0.12).
---@field keys? foreword.Keys|false

---@type foreword.Options
local DEFAULTS = {
  enable = true,
  cmd = { 'foreword', 'lsp' },
  settings = {},
  inline = true,
  keys = {
    accept = '<Tab>',
    accept_word = '<M-Right>',
    accept_line = '<M-C-Right>',
    next = '<M-]>',
    previous = '<M-[>',
  },
}

---@type foreword.Options
M.current = vim.deepcopy(DEFAULTS)

local function list_of_strings(value)
  if not vim.islist(value) then
    return false
  end
  return vim.iter(value):all(function(each)
    return type(each) == 'string'
  end)
end

local function command(value)
  return value == nil or (type(value) == 'table' and #value > 0 and list_of_strings(value))
end

local function names(value)
  return value == nil or (type(value) == 'table' and list_of_strings(value))
end

local function unknown(given, known, where)
  for name in pairs(given) do
    if not vim.list_contains(known, name) then
      table.sort(known)
      error(
        ('foreword: there is no option %s%s; known: %s'):format(where, name, table.concat(known, ', ')),
        0
      )
    end
  end
end

local function key(value)
  return value == nil or value == false or (type(value) == 'string' and value ~= '')
end

--- Takes over what is given, the defaults for the rest. Raises an error that names the option that is wrong.
---@param given? foreword.Options
function M.set(given)
  vim.validate('options', given, 'table', true)
  given = given or {}
  unknown(given, { 'enable', 'cmd', 'filetypes', 'settings', 'inline', 'keys' }, '')
  vim.validate('enable', given.enable, 'boolean', true)
  vim.validate('cmd', given.cmd, command, "a list of strings, as { '/path/to/foreword', 'lsp' }")
  vim.validate('filetypes', given.filetypes, names, 'a list of file types')
  vim.validate('settings', given.settings, 'table', true)
  vim.validate('inline', given.inline, 'boolean', true)
  if given.keys ~= false then
    vim.validate('keys', given.keys, 'table', true)
    unknown(given.keys or {}, vim.tbl_keys(DEFAULTS.keys), 'keys.')
    for name, value in pairs(given.keys or {}) do
      vim.validate('keys.' .. name, value, key, 'a key, or false for none')
    end
  end
  M.current = vim.tbl_deep_extend('force', vim.deepcopy(DEFAULTS), given)
  M.current.cmd = given.cmd or DEFAULTS.cmd
end

return M
