-- What the server last told of itself: asked for when somebody looks or something happens, never waited for.

local M = {}

local FRESH_MS = 3000 -- a statusline may be drawn at every key

---@type table? the last answer of foreword/status
M.last = nil
---@type table? the value of the last work-done progress that has not ended
local doing
local asked_at = -math.huge
local asking = false
local text = 'foreword: off'
local LONG_MS = 300 -- what is answered sooner needs no sign: one at each key would only flicker
---@type table<integer, integer> when each request for ghost text that is under way was sent, in milliseconds
local waiting = {}

local function is_long()
  for _, since in pairs(waiting) do
    if vim.uv.now() - since >= LONG_MS then
      return true
    end
  end
  return false
end

local function in_words()
  local server = require('foreword.server')
  local client = server.client()
  if not client then
    return server.trouble ~= '' and 'stopped, see :checkhealth foreword' or 'off'
  end
  local paused = require('foreword.pause').described()
  if doing then
    local percent = doing.percentage and (' %d%%'):format(doing.percentage) or ''
    return (doing.title or 'working'):gsub('^Foreword: ', '') .. percent
  elseif not M.last then
    return 'starting'
  end
  local engine, index = M.last.engine, M.last.index
  if engine.state == 'failed' then
    return 'no model, see :checkhealth foreword'
  elseif engine.state ~= 'ready' then
    return engine.state == 'off' and 'index only' or 'model starts'
  elseif paused ~= '' then
    return paused
  end
  local model = engine.model:match('[^/]+$') or engine.model
  local no_index = index.state ~= 'connected' and index.state ~= 'off'
  return model .. (no_index and ', no index' or '') .. (is_long() and ' …' or '')
end

--- Says anew what is known.
function M.changed()
  local now = 'foreword: ' .. in_words()
  if now ~= text then
    text = now
    vim.cmd.redrawstatus({ bang = true })
  end
end

--- A request for ghost text was sent, or is over.
---@param id integer
---@param state 'pending'|'complete'|'cancel'
function M.requested(id, state)
  waiting[id] = state == 'pending' and vim.uv.now() or nil
  if state == 'pending' then
    vim.defer_fn(M.changed, LONG_MS)
  else
    M.changed()
  end
end

--- Asks the server; `done` gets its answer, or nil and why there is none.
---@param done? fun(status: table?, why: string?)
function M.refresh(done)
  local client = require('foreword.server').client()
  if not client or not client.initialized then
    if not client then
      M.last, doing, waiting = nil, nil, {}
      require('foreword.impatience').told(false)
    end
    M.changed()
    if done then
      done(nil, client and 'the server is starting' or 'no server is running')
    end
    return
  end
  if asking and not done then
    return
  end
  asking, asked_at = true, vim.uv.now()
  require('foreword.request').send(client, 'foreword/status', vim.empty_dict(), function(answer, why)
    asking = false
    M.last = answer or M.last
    M.changed()
    require('foreword.impatience').told(M.last ~= nil and M.last.engine.state == 'ready')
    if done then
      done(answer, why)
    end
  end)
end

--- Takes in the value of an LspProgress event.
function M.progress(value)
  if value.kind == 'end' then
    doing = nil
    M.refresh()
  else
    doing = vim.tbl_extend('force', doing or {}, value)
  end
  M.changed()
end

--- For a statusline.
function M.text()
  if vim.uv.now() - asked_at > FRESH_MS then
    asked_at = vim.uv.now()
    vim.schedule(M.refresh)
  end
  return text
end

local function cached(completion)
  if not completion.promptTokens then
    return ''
  end
  local known = completion.cachedTokens and (', %d of them cached'):format(completion.cachedTokens) or ''
  return (' (%d tokens read%s)'):format(completion.promptTokens, known)
end

local function of_roots(roots)
  local lines = {}
  for _, root in ipairs(roots or {}) do
    local vectors = root.vectors and root.vectors > 0 and (', %d vectors'):format(root.vectors) or ''
    table.insert(
      lines,
      ('           %s: %s, %d files, %d symbols%s'):format(
        root.root,
        root.state,
        root.files,
        root.symbols,
        vectors
      )
    )
    if (root.note or '') ~= '' then
      table.insert(lines, '           ' .. root.note)
    end
  end
  return lines
end

--- A page for people.
---@return string[]
function M.page(status)
  local engine, index, last = status.engine, status.index, status.lastCompletion
  local lines = {
    ('server     %s, process %d, positions in %s'):format(
      status.server.version,
      status.server.pid,
      status.server.encoding
    ),
    ('engine     %s%s%s'):format(
      engine.state,
      engine.model and ': ' .. engine.model or '',
      engine.device and ' on ' .. engine.device or ''
    ),
  }
  if (engine.reason or '') ~= '' then
    table.insert(lines, '           ' .. engine.reason)
  end
  table.insert(lines, ('index      %s%s'):format(index.state, index.reason and ': ' .. index.reason or ''))
  vim.list_extend(lines, of_roots(index.roots))
  local paused = require('foreword.pause').described()
  if paused ~= '' then
    table.insert(lines, 'ghost text ' .. paused)
  elseif not require('foreword').has_ghost_text() then
    table.insert(lines, 'ghost text needs Neovim 0.12')
  end
  if last then
    local how = last.reason ~= '' and 'empty: ' .. last.reason
      or ('%d tokens in %.2f s'):format(last.completionTokens or 0, last.totalS or 0)
    table.insert(lines, 'last       ' .. how .. cached(last))
  end
  if (status.lastEmptyReason or '') ~= '' then
    table.insert(lines, 'last empty ' .. status.lastEmptyReason)
  end
  for _, complaint in ipairs(status.complaints or {}) do
    table.insert(lines, 'setting    ' .. complaint)
  end
  return lines
end

return M
