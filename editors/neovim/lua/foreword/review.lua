-- Edits of several files, looked at before they are applied: a tab with the files, each to be taken or left, and the
-- diff of the one under the cursor. Neovim would ask for each change by itself, and make files without asking.

local api = vim.api
local M = {}

local KEYS = '<Space> takes or leaves a file, A applies what is taken, Q leaves everything as it is'
local MARKS = api.nvim_create_namespace('foreword.review')

---@class foreword.FileChange
---@field uri string as it is called now
---@field kind 'change'|'create'|'rename'|'delete'
---@field path string
---@field operations table[] in their order
---@field edits table[] text edits, without what asks for each
---@field taken boolean
---@field version? integer

---@class foreword.Review
---@field changes foreword.FileChange[]
---@field client vim.lsp.Client
---@field label string
---@field left_out string[] lines about files of the plan that are not changed
---@field tab integer
---@field list integer buffer
---@field windows integer[] of the list, of the text before and after
---@field done fun(taken?: foreword.FileChange[])

local function asks(edit)
  for _, annotation in pairs(edit.changeAnnotations or {}) do
    if annotation.needsConfirmation then
      return true
    end
  end
  return false
end

local function plain_edits(edits)
  return vim.tbl_map(function(each)
    return { range = vim.deepcopy(each.range), newText = each.newText }
  end, edits)
end

--- One entry for each file, in the order of the edit.
---@return foreword.FileChange[]
local function by_file(edit, root)
  local changes, found, known_as = {}, {}, {}
  for _, operation in ipairs(edit.documentChanges) do
    local uri = operation.uri or operation.oldUri or operation.textDocument.uri
    uri = known_as[uri] or uri
    local change = found[uri]
    if not change then
      local name = vim.uri_to_fname(uri)
      change = { uri = uri, kind = 'change', operations = {}, edits = {}, taken = true }
      change.path = root and vim.fs.relpath(root, name) or name
      found[uri] = change
      table.insert(changes, change)
    end
    operation = vim.deepcopy(operation)
    operation.annotationId = nil
    if operation.kind then
      change.kind = operation.kind
      if operation.newUri then
        known_as[operation.newUri] = uri
        change.path = change.path .. ' → ' .. vim.fs.basename(vim.uri_to_fname(operation.newUri))
      end
    else
      operation.edits = plain_edits(operation.edits)
      change.version = operation.textDocument.version or change.version
      operation.textDocument.version = operation.textDocument.version or vim.NIL -- Neovim compares with it
      vim.list_extend(change.edits, plain_edits(operation.edits))
    end
    table.insert(change.operations, operation)
  end
  return changes
end

--- Takes off the empty line that is left of an empty buffer once a text with a last line end was put there.
local function without_empty_end(buf)
  local count = api.nvim_buf_line_count(buf)
  if count > 1 and api.nvim_buf_get_lines(buf, count - 1, count, false)[1] == '' then
    api.nvim_buf_set_lines(buf, count - 1, count, false, {})
  end
end

--- A file that was made holds what it is to hold, and not only its name.
local function save_created(change)
  local buf = vim.uri_to_bufnr(change.uri)
  vim.fn.bufload(buf)
  without_empty_end(buf)
  api.nvim_buf_call(buf, function()
    vim.cmd('silent write!')
  end)
end

---@param change foreword.FileChange
---@return string[] before
---@return string[] after
local function texts(change, encoding)
  local name = vim.uri_to_fname(change.uri)
  local buf = vim.fn.bufnr('^' .. vim.fn.escape(name, '\\*?[]{}') .. '$')
  local before = {}
  if change.kind ~= 'create' then
    if buf ~= -1 and api.nvim_buf_is_loaded(buf) then
      before = api.nvim_buf_get_lines(buf, 0, -1, false)
    elseif vim.fn.filereadable(name) == 1 then
      before = vim.fn.readfile(name)
    end
  end
  if change.kind == 'delete' then
    return before, {}
  end
  local work = api.nvim_create_buf(false, true)
  api.nvim_buf_set_lines(work, 0, -1, false, before)
  vim.lsp.util.apply_text_edits(vim.deepcopy(change.edits), work, encoding)
  if change.kind == 'create' then
    without_empty_end(work)
  end
  local after = api.nvim_buf_get_lines(work, 0, -1, false)
  api.nvim_buf_delete(work, { force = true })
  return before, after
end

---@param review foreword.Review
local function draw_list(review)
  local lines = { review.label, KEYS, '' }
  for _, change in ipairs(review.changes) do
    table.insert(lines, ('[%s] %-7s %s'):format(change.taken and 'x' or ' ', change.kind, change.path))
  end
  vim.list_extend(lines, review.left_out)
  vim.bo[review.list].modifiable = true
  api.nvim_buf_set_lines(review.list, 0, -1, false, lines)
  vim.bo[review.list].modifiable = false
  api.nvim_buf_clear_namespace(review.list, MARKS, 0, -1)
  for number, change in ipairs(review.changes) do
    local group = change.taken and 'ForewordTaken' or 'ForewordLeft'
    api.nvim_buf_set_extmark(review.list, MARKS, number + 2, 0, { line_hl_group = group })
  end
  api.nvim_buf_set_extmark(review.list, MARKS, 0, 0, { line_hl_group = 'ForewordHead' })
end

---@param review foreword.Review
---@return foreword.FileChange?
local function under_cursor(review)
  return review.changes[api.nvim_win_get_cursor(review.windows[1])[1] - 3]
end

---@param review foreword.Review
local function map_keys(review, buf)
  local function on(key, action)
    vim.keymap.set('n', key, action, { buffer = buf, nowait = true })
  end
  on('A', function()
    review.done(vim.tbl_filter(function(change)
      return change.taken
    end, review.changes))
  end)
  on('Q', function()
    review.done(nil)
  end)
end

---@param review foreword.Review
---@param change foreword.FileChange
local function show(review, change)
  local sides = { texts(change, review.client.offset_encoding) }
  for side, lines in ipairs(sides) do
    local buf = api.nvim_create_buf(false, true)
    api.nvim_buf_set_lines(buf, 0, -1, false, lines)
    vim.bo[buf].bufhidden, vim.bo[buf].modifiable = 'wipe', false
    local window = review.windows[side + 1]
    api.nvim_win_set_buf(window, buf)
    local type = vim.filetype.match({ filename = vim.uri_to_fname(change.uri), buf = buf })
    vim.bo[buf].syntax = type or ''
    vim.wo[window][0].winbar = (side == 1 and 'before  ' or 'after  ') .. change.path:gsub('%%', '%%%%')
    api.nvim_win_call(window, vim.cmd.diffthis)
    map_keys(review, buf)
  end
end

---@param review foreword.Review
local function open(review)
  vim.cmd('tabnew')
  review.tab = api.nvim_get_current_tabpage()
  local list = api.nvim_get_current_win()
  local empty = api.nvim_get_current_buf()
  review.list = api.nvim_create_buf(false, true)
  api.nvim_win_set_buf(list, review.list)
  if api.nvim_buf_is_valid(empty) then
    api.nvim_buf_delete(empty, { force = true })
  end
  vim.cmd('belowright split')
  local before = api.nvim_get_current_win()
  vim.cmd('rightbelow vsplit')
  review.windows = { list, before, api.nvim_get_current_win() }
  api.nvim_set_current_win(list)
  api.nvim_win_set_height(list, #review.changes + #review.left_out + 3)
  draw_list(review)
  map_keys(review, review.list)
  vim.keymap.set('n', '<Space>', function()
    local change = under_cursor(review)
    if change then
      change.taken = not change.taken
      draw_list(review)
    end
  end, { buffer = review.list, nowait = true })
  local shown
  api.nvim_create_autocmd('CursorMoved', {
    buffer = review.list,
    callback = function()
      local change = under_cursor(review)
      if change and change ~= shown then
        shown = change
        show(review, change)
      end
    end,
  })
  api.nvim_win_set_cursor(list, { 4, 0 })
  shown = review.changes[1]
  show(review, shown)
end

local function close(review)
  if api.nvim_tabpage_is_valid(review.tab) then
    vim.cmd(api.nvim_tabpage_get_number(review.tab) .. 'tabclose')
  end
  if api.nvim_buf_is_valid(review.list) then
    api.nvim_buf_delete(review.list, { force = true })
  end
end

--- A file that has changed while it was looked at, nil if none has.
---@param changes foreword.FileChange[]
local function moved_on(changes)
  for _, change in ipairs(changes) do
    local buf = vim.uri_to_bufnr(change.uri)
    if change.version and (vim.lsp.util.buf_versions[buf] or change.version) ~= change.version then
      return change.path
    end
  end
end

--- What the server is answered, once a person has decided.
---@param taken? foreword.FileChange[]
local function decided(taken, client)
  if not taken or #taken == 0 then
    vim.notify('Foreword: the edit was declined: nothing was changed') -- the server says nothing of it
    return { applied = false, failureReason = 'declined' }
  end
  local other = moved_on(taken)
  if other then
    return { applied = false, failureReason = other .. ' has changed meanwhile' }
  end
  local operations = {}
  for _, change in ipairs(taken) do
    vim.list_extend(operations, change.operations)
  end
  local ok, why = pcall(function()
    vim.lsp.util.apply_workspace_edit({ documentChanges = operations }, client.offset_encoding)
    for _, change in ipairs(taken) do
      if change.kind == 'create' then
        save_created(change)
      end
    end
  end)
  return { applied = ok, failureReason = not ok and tostring(why) or nil }
end

--- The handler of workspace/applyEdit.
function M.handle(error, params, context)
  local client = vim.lsp.get_client_by_id(context.client_id)
  local waiting, main = coroutine.running()
  if not client or not waiting or main or not params.edit.documentChanges or not asks(params.edit) then
    return vim.lsp.handlers['workspace/applyEdit'](error, params, context)
  end
  ---@type foreword.Review
  local review = {
    changes = by_file(require('foreword.request').plain(params.edit), client.root_dir),
    client = client,
    label = params.label or 'Foreword: an edit',
  }
  local uris = {}
  for _, change in ipairs(review.changes) do
    uris[change.uri] = true
  end
  review.left_out = require('foreword.plan').without_change(uris)
  local over = false
  review.done = function(taken)
    if over then
      return
    end
    over = true
    close(review)
    local answer = decided(taken, client)
    vim.schedule(function()
      coroutine.resume(waiting, answer)
    end)
  end
  open(review)
  api.nvim_create_autocmd('TabClosed', {
    callback = function()
      vim.schedule(function() -- Neovim 0.11 lets go of the tab only after this event
        if not over and not api.nvim_tabpage_is_valid(review.tab) then
          review.done(nil)
        end
      end)
      return over
    end,
  })
  return coroutine.yield()
end

return M
