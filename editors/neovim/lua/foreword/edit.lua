-- Edits by an instruction: :Foreword edit, and code actions that need one.

local M = {}

local COMMAND = 'foreword.edit'

---@type {client: vim.lsp.Client, id: integer}? the one under way
local running

local function say(message, level)
  vim.notify('foreword: ' .. message, level or vim.log.levels.INFO)
end

--- What came of it; why nothing was changed the server has told already.
local function told(done, why)
  running = nil
  if why then
    say('no edit: ' .. why, vim.log.levels.WARN)
  elseif done.applied then
    local files = #done.files == 1 and '1 file' or ('%d files'):format(#done.files)
    say(('changed %s; known of the result: it %s'):format(files, done.claim))
    if done.missing and #done.missing > 0 then
      say('a part of what was planned is missing: ' .. table.concat(done.missing, '; '), vim.log.levels.WARN)
    end
  end
end

---@param client vim.lsp.Client
---@param given table the command's one argument
---@param buf? integer
---@param command? string
function M.send(client, given, buf, command)
  local params = { command = command or COMMAND, arguments = { given } }
  local id = require('foreword.request').send(client, 'workspace/executeCommand', params, told, buf)
  running = id and { client = client, id = id }
end

local function with_instruction(client, given, buf)
  if given.instruction then
    M.send(client, given, buf)
    return
  end
  vim.ui.input({ prompt = 'Foreword, change: ' }, function(text)
    if text and vim.trim(text) ~= '' then
      given.instruction = text
      M.send(client, given, buf)
    end
  end)
end

--- Of the current file, about these lines if there are any.
---@param instruction? string asked for where there is none
---@param lines? integer[] from 1, both included
function M.here(instruction, lines)
  local buf = vim.api.nvim_get_current_buf()
  local client = vim.lsp.get_clients({ bufnr = buf, name = 'foreword' })[1]
  if not client then
    say('no server is attached to this file; see :checkhealth foreword', vim.log.levels.WARN)
    return
  end
  with_instruction(client, { uri = vim.uri_from_bufnr(buf), lines = lines, instruction = instruction }, buf)
end

--- Of a code action, which may leave the instruction to the user.
function M.of_action(command, context)
  local client = vim.lsp.get_client_by_id(context.client_id)
  if client then
    with_instruction(client, vim.deepcopy(command.arguments[1]), context.bufnr)
  end
end

function M.cancel()
  if running then
    running.client:cancel_request(running.id)
    running = nil
    say('the edit is cancelled')
  else
    say('no edit is under way')
  end
end

return M
