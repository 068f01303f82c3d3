-- Ghost text paused, everywhere or for a language, until it is resumed or Neovim ends.

local M = {}

local everywhere = false
---@type table<string, true>
local languages = {}

---@param buf integer
function M.paused(buf)
  return everywhere or languages[vim.bo[buf].filetype] == true
end

--- Has Neovim ask for ghost text in a buffer, or not.
---@param buf integer
function M.apply(buf)
  if vim.lsp.inline_completion then
    local wanted = require('foreword.options').current.inline and not M.paused(buf)
    vim.lsp.inline_completion.enable(wanted, { bufnr = buf })
  end
end

---@param paused boolean
---@param language? string a file type; without it everywhere
function M.set(paused, language)
  if language then
    languages[language] = paused or nil
  else
    everywhere = paused
    languages = paused and languages or {}
  end
  require('foreword.ghost').dismiss()
  for _, client in ipairs(vim.lsp.get_clients({ name = 'foreword' })) do
    for buf in pairs(client.attached_buffers) do
      M.apply(buf)
    end
  end
  require('foreword.status').changed()
end

--- In words, empty where nothing is paused.
function M.described()
  if everywhere then
    return 'paused'
  end
  local names = vim.tbl_keys(languages)
  table.sort(names)
  return #names > 0 and 'paused for ' .. table.concat(names, ', ') or ''
end

---@return string[]
function M.languages()
  return vim.tbl_keys(languages)
end

return M
