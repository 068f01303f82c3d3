-- Whether an edit helped: what other servers say of a file is told to Foreword, and what Foreword makes of it is shown.

local M = {}

local TOGETHER_MS = 100 -- changes of diagnostics that come together are told as one
local PUSHED, PULLED = 'textDocument/publishDiagnostics', 'textDocument/diagnostic'
local NO_VERSION = -1

---@type table<integer, table<integer, integer>> by buffer and client, the version that it told diagnostics of last
local heard = {}
---@type table<string, integer> the version that a diagnostic request under way is about, by client and request
local pulling = {}
---@type table<integer, boolean> buffers that will be told in a moment
local due = {}
---@type string? the last edit that can be repaired
local repairable

local function say(message, level)
  vim.notify('foreword: ' .. message, level or vim.log.levels.INFO)
end

local function version_of(buf)
  return vim.lsp.util.buf_versions[buf] or NO_VERSION
end

local function ours(buf)
  return vim.lsp.get_clients({ bufnr = buf, name = 'foreword' })[1]
end

--- Servers that tell diagnostics of this buffer, and have not told any of its last change.
local function awaited(buf)
  local names = {}
  for id, version in pairs(heard[buf] or {}) do
    local client = vim.lsp.get_client_by_id(id)
    if client and client.attached_buffers[buf] and version < version_of(buf) then
      table.insert(names, client.name)
    end
  end
  return names
end

local function send(buf)
  local client = vim.api.nvim_buf_is_loaded(buf) and ours(buf)
  if not client then
    return
  end
  local diagnostics = vim.tbl_map(function(each)
    return {
      range = { start = { line = each.lnum, character = each.col } },
      message = each.message,
      source = each.source,
      code = each.code,
      severity = each.severity,
    }
  end, vim.diagnostic.get(buf))
  client:notify('foreword/diagnostics', {
    uri = vim.uri_from_bufnr(buf),
    version = vim.lsp.util.buf_versions[buf],
    diagnostics = diagnostics,
    awaited = awaited(buf),
  })
end

--- Tells the server what is known of this buffer, in a moment.
function M.tell(buf)
  if due[buf] or not ours(buf) then
    return
  end
  due[buf] = true
  vim.defer_fn(function()
    due[buf] = nil
    send(buf)
  end, TOGETHER_MS)
end

local function hear(client_id, buf, version)
  heard[buf] = heard[buf] or {}
  heard[buf][client_id] = math.max(version, heard[buf][client_id] or NO_VERSION)
  M.tell(buf)
end

--- Of LspRequest: servers that are asked for diagnostics.
function M.requested(data)
  local request = data.request
  if request.method ~= PULLED or not request.bufnr then
    return
  end
  local key = data.client_id .. ' ' .. data.request_id
  if request.type == 'pending' then
    pulling[key] = version_of(request.bufnr)
  else
    local version = pulling[key]
    pulling[key] = nil
    if request.type == 'complete' and version then
      hear(data.client_id, request.bufnr, version)
    end
  end
end

--- Servers that tell diagnostics by themselves: no event says who has told none.
function M.listen()
  local before = vim.lsp.handlers[PUSHED]
  vim.lsp.handlers[PUSHED] = function(error, params, context, ...)
    local answer = before(error, params, context, ...)
    local buf = params and vim.uri_to_bufnr(params.uri)
    if buf and vim.api.nvim_buf_is_loaded(buf) then
      hear(context.client_id, buf, type(params.version) == 'number' and params.version or version_of(buf))
    end
    return answer
  end
end

--- An edit of the server's has been put into buffers: what is known of them is of another version now.
function M.applied(params)
  for _, change in ipairs(params.edit.documentChanges or {}) do
    local uri = change.textDocument and change.textDocument.uri
    local buf = uri and vim.uri_to_bufnr(uri)
    if buf and vim.api.nvim_buf_is_loaded(buf) then
      M.tell(buf)
    end
  end
end

--- The handler of foreword/helped.
function M.told(told)
  repairable = told.repair and told.edit or nil
  local check = told.check and told.check.state
  if check == 'waiting' then
    say(told.claim .. '; the check waits ' .. told.check.told)
  elseif check ~= 'running' and (told.claim ~= 'parses' or check) then
    local offer = repairable and '. :Foreword repair has it written anew' or ''
    say(told.claim .. offer, repairable and vim.log.levels.WARN or nil)
  end
end

function M.repair()
  local client = require('foreword.server').client()
  if not client or not repairable then
    say('there is nothing to repair')
    return
  end
  local edit = repairable
  repairable = nil
  require('foreword.edit').send(client, { edit = edit }, nil, 'foreword.repair')
end

return M
