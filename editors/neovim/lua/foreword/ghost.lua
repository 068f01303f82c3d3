-- Ghost text beyond what vim.lsp.inline_completion has: accepting it by words and lines, and choosing between
-- several. What is left of an offer is drawn here until Neovim, which asks 200 ms after a key, draws it itself.

local api = vim.api
local M = {}

local METHOD = 'textDocument/inlineCompletion'
local INVOKED, AUTOMATIC = 1, 2 -- InlineCompletionTriggerKind: somebody asked, and wants to choose; a key did
local OURS = api.nvim_create_namespace('foreword.ghost')
local NEOVIMS = api.nvim_create_namespace('nvim.lsp.inline_completion')
local AFTER_HANDLERS_MS = 10 -- an answer's handler runs just after the event that tells of it

---@class foreword.Offer
---@field text string what is to be inserted at the cursor
---@field over integer bytes after the cursor that it takes the place of
---@field command? lsp.Command to be run when it is accepted

---@class foreword.Held
---@field buf integer
---@field row integer
---@field col integer
---@field offers foreword.Offer[]
---@field index integer
---@field client_id integer
---@field chosen boolean somebody chooses: then Neovim's own ghost text gives way

---@type foreword.Held?
local held

local function cursor()
  local row, col = unpack(api.nvim_win_get_cursor(0))
  return row - 1, col
end

local function clear()
  if held and api.nvim_buf_is_valid(held.buf) then
    api.nvim_buf_clear_namespace(held.buf, OURS, 0, -1)
  end
  held = nil
end

local function draw()
  if not held then
    return
  end
  api.nvim_buf_clear_namespace(held.buf, OURS, 0, -1)
  local lines = {}
  for _, line in ipairs(vim.split(held.offers[held.index].text, '\n')) do
    table.insert(lines, { { line, 'ForewordGhost' } })
  end
  if held.chosen then
    table.insert(lines[#lines], { (' (%d/%d)'):format(held.index, #held.offers), 'ForewordCount' })
  end
  api.nvim_buf_set_extmark(held.buf, OURS, held.row, held.col, {
    virt_text = lines[1],
    virt_lines = { unpack(lines, 2) },
    virt_text_pos = 'inline',
    hl_mode = 'combine',
  })
end

---@param offers foreword.Offer[]
---@param index integer
---@param client_id integer
---@param chosen boolean
local function hold(offers, index, client_id, chosen)
  clear()
  local row, col = cursor()
  held = {
    buf = api.nvim_get_current_buf(),
    row = row,
    col = col,
    offers = offers,
    index = index,
    client_id = client_id,
    chosen = chosen,
  }
  draw()
end

local function at_cursor()
  if not held or held.buf ~= api.nvim_get_current_buf() then
    return false
  end
  local row, col = cursor()
  return row == held.row and col == held.col
end

--- What Neovim itself shows in this buffer, nil where that is nothing.
---@return string?
local function neovim_shows()
  for _, mark in ipairs(api.nvim_buf_get_extmarks(0, NEOVIMS, 0, -1, { details = true })) do
    local lines = {}
    for _, chunks in ipairs({ mark[4].virt_text or {}, unpack(mark[4].virt_lines or {}) }) do
      table.insert(lines, (chunks[1] or {})[1] or '')
    end
    local text = table.concat(lines, '\n')
    if text ~= '' then
      return text
    end
  end
end

local function hide_neovims()
  if vim.lsp.inline_completion and neovim_shows() then
    vim.lsp.inline_completion.get({
      on_accept = function() end,
    })
  end
end

--- What is left of a text for these lines and columns, nil if what stands before the cursor does not lead there.
---@return foreword.Offer?
local function left(text, command, start_row, start_col, end_row, end_col)
  local row, col = cursor()
  if row ~= start_row or row ~= end_row or col < start_col then
    return nil
  end
  local typed = api.nvim_buf_get_text(0, row, start_col, row, col, {})[1]
  if text:sub(1, #typed) ~= typed or #typed == #text then
    return nil
  end
  return { text = text:sub(#typed + 1), over = end_col - start_col, command = command }
end

local WORDS = { '^%s*[%w_\128-\255]+', '^%s*[^%w_%s\128-\255]+' }

---@param how 'all'|'word'|'line'
local function piece_of(text, how)
  if how == 'word' then
    return text:match(WORDS[1]) or text:match(WORDS[2]) or text
  elseif how == 'line' then
    return text:match('^\n?[^\n]*')
  end
  return text
end

--- Tells the server what was accepted, as Neovim does where all of an item is.
---@param command? lsp.Command
local function tell(client_id, command, part)
  local client = vim.lsp.get_client_by_id(client_id)
  if client and command then
    command = vim.deepcopy(command)
    command.arguments = vim.list_extend(command.arguments or {}, { part })
    client:exec_cmd(command, { bufnr = api.nvim_get_current_buf() })
  end
end

---@param offer foreword.Offer
---@param client_id integer
---@param how 'all'|'word'|'line'
local function insert(offer, client_id, how)
  local piece = piece_of(offer.text, how)
  local over = piece == offer.text and offer.over or 0
  local row, col = cursor()
  local lines = vim.split(piece, '\n')
  api.nvim_buf_set_text(0, row, col, row, math.min(col + over, #api.nvim_get_current_line()), lines)
  api.nvim_win_set_cursor(0, { row + #lines, (#lines == 1 and col or 0) + #lines[#lines] })
  if piece == offer.text then
    clear()
    tell(client_id, offer.command, 'all')
  else
    local rest = { text = offer.text:sub(#piece + 1), over = offer.over, command = offer.command }
    hold({ rest }, 1, client_id, false)
    tell(client_id, offer.command, how)
  end
end

--- Accepts what is shown, or its next word or line.
---@param how 'all'|'word'|'line'
function M.accept(how)
  if at_cursor() then
    insert(held.offers[held.index], held.client_id, how)
    return
  end
  if not vim.lsp.inline_completion or not neovim_shows() then
    return
  end
  vim.lsp.inline_completion.get({
    on_accept = function(item)
      local client = vim.lsp.get_client_by_id(item.client_id)
      if not client or client.name ~= 'foreword' or type(item.insert_text) ~= 'string' or not item.range then
        return item
      end
      local offer = left(item.insert_text, item.command, item.range:to_extmark())
      if offer then
        insert(offer, item.client_id, how)
      end
    end,
  })
end

---@return vim.lsp.Client?
local function client_here()
  return vim.lsp.get_clients({ bufnr = 0, name = 'foreword', method = METHOD })[1]
end

---@return foreword.Offer[]
local function offers_of(client, items)
  local offers, row = {}, (cursor())
  local line = api.nvim_get_current_line()
  local function byte(character)
    return vim.str_byteindex(line, client.offset_encoding, character, false)
  end
  for _, item in ipairs(items) do
    local from, to = item.range.start, item.range['end']
    local here = from.line == row and to.line == row
    local offer = here
      and left(item.insertText, item.command, row, byte(from.character), row, byte(to.character))
    table.insert(offers, offer or nil)
  end
  return offers
end

--- Where to begin: the most probable one, or, if that is what is seen already, the next one in this direction.
---@param shown? string
local function beside(offers, shown, step)
  local first = step > 0 and 1 or #offers
  return offers[first].text == shown and (first - 1 + step) % #offers + 1 or first
end

--- Asks the server at the cursor; `done` gets what it offers, unless somebody has typed or gone on meanwhile.
---@param kind integer InlineCompletionTriggerKind
---@param done fun(offers: foreword.Offer[], client: vim.lsp.Client)
local function ask(client, kind, done)
  local buf, tick = api.nvim_get_current_buf(), vim.b.changedtick
  local row, col = cursor()
  require('foreword.request').send(client, METHOD, {
    textDocument = vim.lsp.util.make_text_document_params(buf),
    position = vim.lsp.util.make_position_params(0, client.offset_encoding).position,
    context = { triggerKind = kind },
  }, function(result)
    local now_row, now_col = cursor()
    local moved = now_row ~= row
      or now_col ~= col
      or api.nvim_get_current_buf() ~= buf
      or vim.b.changedtick ~= tick
    if not moved and vim.startswith(api.nvim_get_mode().mode, 'i') then
      done(result and offers_of(client, result.items or result) or {}, client)
    end
  end, buf)
end

--- The next or previous candidate; the first call asks for several.
---@param step 1|-1
function M.choose(step)
  if at_cursor() and held.chosen then
    held.index = (held.index - 1 + step) % #held.offers + 1
    draw()
    return
  end
  local client = client_here()
  if not client then
    return
  end
  local shown = at_cursor() and held.offers[held.index].text or neovim_shows()
  ask(client, INVOKED, function(offers)
    if #offers == 0 then
      api.nvim_echo({ { 'foreword: nothing to offer here; :Foreword status tells why' } }, false, {})
      return
    end
    hide_neovims()
    hold(offers, beside(offers, shown, step), client.id, true)
  end)
end

--- Shows what the server offers here as if a key had asked for it.
function M.offer()
  local client = client_here()
  local enabled = vim.lsp.inline_completion and vim.lsp.inline_completion.is_enabled({ bufnr = 0 })
  if client and enabled and not M.shown() then
    ask(client, AUTOMATIC, function(offers)
      if #offers > 0 and not M.shown() then
        hold(offers, 1, client.id, false)
      end
    end)
  end
end

--- Whether ghost text is to be seen.
function M.shown()
  return at_cursor() or neovim_shows() ~= nil
end

--- Whether the key of this action has something to do here.
function M.usable(action)
  if action == 'next' or action == 'previous' then
    return client_here() ~= nil
  end
  return M.shown()
end

function M.dismiss()
  clear()
  hide_neovims()
end

--- What is held goes on where what is typed leads through it, and ends elsewhere.
function M.moved()
  if not held or at_cursor() then
    return
  end
  local same = held.buf == api.nvim_get_current_buf()
  local row, col = cursor()
  if not same or row ~= held.row or col < held.col then
    clear()
    return
  end
  local going = {}
  for _, offer in ipairs(held.offers) do
    local rest = left(offer.text, offer.command, held.row, held.col, held.row, held.col + offer.over)
    table.insert(going, rest)
  end
  if #going == 0 then
    clear()
  else
    hold(going, math.min(held.index, #going), held.client_id, held.chosen)
  end
end

--- An answer to Neovim's own request is there: one of both is shown.
function M.answered()
  vim.defer_fn(function()
    if held and neovim_shows() then
      if held.chosen and at_cursor() then
        hide_neovims()
      else
        clear()
      end
    end
  end, AFTER_HANDLERS_MS)
end

M.left_insert = clear

return M
