-- What the model reads for the cursor, part by part, in a window of folds.

local api = vim.api
local M = {}

local SPACE = api.nvim_create_namespace('foreword.context')
local KEYS = '<CR> opens the place, za its text, R asks again, q closes'

---@class foreword.Part
---@field path string
---@field startLine integer
---@field endLine integer
---@field layer string
---@field tokens integer
---@field reason string
---@field cached? boolean
---@field cachedTokens? integer
---@field segment? integer
---@field text? string

---@type table<integer, string[]> fold levels by buffer
local levels = {}

--- 'foldexpr' of the window.
function M.level()
  local of = levels[api.nvim_get_current_buf()]
  return of and of[vim.v.lnum] or '0'
end

--- 'foldtext' of the window: only texts of several lines are folded, their heads stay.
function M.folded()
  return ('    … %d lines'):format(vim.v.foldend - vim.v.foldstart + 1)
end

---@param part foreword.Part
local function cached(part)
  if part.cached == nil then
    return '', 'ForewordReason'
  elseif part.cached then
    return 'cached', 'ForewordCached'
  elseif (part.cachedTokens or 0) > 0 then
    return ('%d cached'):format(part.cachedTokens), 'ForewordNew'
  end
  return 'new', 'ForewordNew'
end

---@param part foreword.Part
local function head(part)
  local place = part.path or ''
  if part.endLine and part.endLine > (part.startLine or 0) then
    place = ('%s:%d-%d'):format(place, part.startLine + 1, part.endLine)
  end
  local how, group = cached(part)
  return {
    { ('%-10s'):format(part.layer), 'ForewordLayer' },
    { ('%6d '):format(part.tokens), 'ForewordTokens' },
    { ('%-11s'):format(how), group },
    { place, 'ForewordPath' },
    { part.reason ~= '' and '  ' .. part.reason or '', 'ForewordReason' },
  }
end

local function first_lines(answer)
  local window = answer.window
  local name = window.model and window.model ~= '' and window.model or 'no model yet'
  local known = window.cachedTokens and (', %d of them cached'):format(window.cachedTokens) or ''
  local lines = {
    ('%s: %d of %d tokens%s; of the repository %d of %d'):format(
      name,
      window.tokens,
      window.limit,
      known,
      answer.tokens,
      answer.budget
    ),
  }
  for _, note in ipairs({ answer.reason, window.cachedNote, unpack(answer.notes or {}) }) do
    if note and note ~= '' then
      table.insert(lines, note)
    end
  end
  table.insert(lines, KEYS)
  table.insert(lines, '')
  return lines
end

--- The lines of the window, its fold levels, what is coloured, and which part each line belongs to.
local function rendered(answer)
  local lines, level, marks, parts = {}, {}, {}, {}
  for _, line in ipairs(first_lines(answer)) do
    table.insert(lines, (line:gsub('\n', ' ')))
    table.insert(level, '0')
  end
  table.insert(marks, { 0, 0, #lines[1], 'ForewordHead' })
  for _, part in ipairs(answer.window.parts) do
    local text = ''
    for _, chunk in ipairs(head(part)) do
      table.insert(marks, { #lines, #text, #text + #chunk[1], chunk[2] })
      text = text .. chunk[1]:gsub('\n', ' ')
    end
    table.insert(lines, text)
    table.insert(level, '0')
    parts[#lines] = part
    local body = part.segment and answer.segments[part.segment + 1].text or part.text or ''
    local texts = vim.split((body:gsub('\n$', '')), '\n')
    for _, line in ipairs(texts) do
      table.insert(lines, '    ' .. line)
      table.insert(level, #texts > 1 and '1' or '0')
      parts[#lines] = part
    end
  end
  return lines, level, marks, parts
end

---@param part? foreword.Part
local function open(part, root, opener)
  if not part or not part.path or part.path == '' or not part.startLine then
    return
  end
  local path = vim.startswith(part.path, '/') and part.path or vim.fs.joinpath(root, part.path)
  if vim.fn.filereadable(path) == 0 then
    vim.notify('foreword: there is no file ' .. path, vim.log.levels.WARN)
    return
  end
  if api.nvim_win_is_valid(opener) then
    api.nvim_set_current_win(opener)
  end
  vim.cmd.edit(vim.fn.fnameescape(path))
  api.nvim_win_set_cursor(0, { math.min(part.startLine + 1, api.nvim_buf_line_count(0)), 0 })
end

local function show(answer, asked)
  local lines, level, marks, parts = rendered(answer)
  local buf, win = require('foreword.scratch').show('context', lines)
  levels[buf] = level
  vim.bo[buf].filetype = 'foreword-context'
  vim.wo[win][0].foldmethod, vim.wo[win][0].foldlevel, vim.wo[win][0].wrap = 'expr', 0, false
  vim.wo[win][0].foldexpr = "v:lua.require'foreword.context'.level()"
  vim.wo[win][0].foldtext = "v:lua.require'foreword.context'.folded()"
  vim.wo[win][0].foldminlines, vim.wo[win][0].fillchars = 0, 'fold: '
  api.nvim_buf_clear_namespace(buf, SPACE, 0, -1)
  for _, mark in ipairs(marks) do
    api.nvim_buf_set_extmark(buf, SPACE, mark[1], mark[2], { end_col = mark[3], hl_group = mark[4] })
  end
  local function on(key, action)
    vim.keymap.set('n', key, action, { buffer = buf, nowait = true })
  end
  on('<CR>', function()
    open(parts[api.nvim_win_get_cursor(0)[1]], asked.client.root_dir or vim.fn.getcwd(), asked.win)
  end)
  on('R', function()
    M.ask(asked)
  end)
end

--- Asks for the context of a place and shows it.
---@param asked {buf: integer, win: integer, position: lsp.Position, client: vim.lsp.Client}
function M.ask(asked)
  local params = { textDocument = { uri = vim.uri_from_bufnr(asked.buf) }, position = asked.position }
  require('foreword.request').send(asked.client, 'foreword/context', params, function(answer, why)
    if not answer then
      vim.notify('foreword: no context: ' .. why, vim.log.levels.WARN)
    elseif not answer.window then
      vim.notify('foreword: no context here: ' .. answer.reason, vim.log.levels.INFO)
    else
      show(answer, asked)
    end
  end, asked.buf)
end

--- For the cursor of the current window.
function M.here()
  local buf = api.nvim_get_current_buf()
  local client = vim.lsp.get_clients({ bufnr = buf, name = 'foreword' })[1]
  if not client then
    vim.notify('foreword: no server is attached to this file; see :checkhealth foreword', vim.log.levels.WARN)
    return
  end
  local position = vim.lsp.util.make_position_params(0, client.offset_encoding).position
  M.ask({ buf = buf, win = api.nvim_get_current_win(), position = position, client = client })
end

return M
