-- :Foreword and its subcommands.

local M = {}

local function say(message, level)
  vim.notify('foreword: ' .. message, level or vim.log.levels.INFO)
end

local function status()
  require('foreword.status').refresh(function(answer, why)
    if answer then
      require('foreword.scratch').show('status', require('foreword.status').page(answer))
      return
    end
    local trouble = require('foreword.server').trouble
    say(
      trouble ~= '' and trouble or (why or 'no answer') .. '; see :checkhealth foreword',
      vim.log.levels.WARN
    )
  end)
end

local function log()
  local lines = vim.list_extend({}, require('foreword.messages').lines)
  local path = vim.lsp.log and vim.lsp.log.get_filename() or vim.lsp.get_log_path()
  table.insert(lines, '')
  table.insert(lines, 'What the server wrote on stderr is in ' .. path)
  local _, win = require('foreword.scratch').show('log', lines)
  vim.api.nvim_win_set_cursor(win, { #lines, 0 })
end

local function index()
  local client = require('foreword.server').client()
  require('foreword.scratch').command('index', { 'index', client and client.root_dir or vim.fn.getcwd() })
end

local function file_types()
  local types = {}
  for _, buf in ipairs(vim.api.nvim_list_bufs()) do
    local type = vim.api.nvim_buf_is_loaded(buf) and vim.bo[buf].filetype or ''
    if type ~= '' and vim.bo[buf].buftype == '' then
      types[type] = true
    end
  end
  return vim.tbl_keys(types)
end

local function set_paused(paused)
  return function(language)
    require('foreword.pause').set(paused, language)
    local now = require('foreword.pause').described()
    say(now == '' and 'ghost text is on' or 'ghost text is ' .. now)
  end
end

---@class foreword.Subcommand
---@field run fun(argument?: string, lines?: integer[])
---@field argument? 'one'|'text'
---@field complete? fun(): string[]

---@type table<string, foreword.Subcommand>
M.subcommands = {
  status = { run = status },
  restart = {
    run = function()
      require('foreword.server').restart()
    end,
  },
  pause = { run = set_paused(true), argument = 'one', complete = file_types },
  resume = {
    run = set_paused(false),
    argument = 'one',
    complete = function()
      return require('foreword.pause').languages()
    end,
  },
  context = {
    run = function()
      require('foreword.context').here()
    end,
  },
  edit = {
    run = function(instruction, lines)
      require('foreword.edit').here(instruction, lines)
    end,
    argument = 'text',
  },
  cancel = {
    run = function()
      require('foreword.edit').cancel()
    end,
  },
  repair = {
    run = function()
      require('foreword.helped').repair()
    end,
  },
  log = { run = log },
  doctor = {
    run = function()
      require('foreword.scratch').command('doctor', { 'doctor' })
    end,
  },
  stats = {
    run = function()
      require('foreword.scratch').command('stats', { 'stats' })
    end,
  },
  index = { run = index },
}

local function names()
  local all = vim.tbl_keys(M.subcommands)
  table.sort(all)
  return all
end

--- Runs what was typed after :Foreword.
function M.run(given)
  local name = given.fargs[1] or 'status'
  local subcommand = M.subcommands[name]
  if not subcommand then
    say(("there is no '%s'; known: %s"):format(name, table.concat(names(), ', ')), vim.log.levels.ERROR)
    return
  end
  local argument = vim.trim(given.args:sub(#name + 1))
  if argument ~= '' and (not subcommand.argument or (subcommand.argument == 'one' and #given.fargs > 2)) then
    say(
      ('%s takes %s'):format(name, subcommand.argument and 'one argument' or 'no argument'),
      vim.log.levels.ERROR
    )
    return
  end
  local lines = given.range > 0 and { given.line1, given.line2 } or nil
  subcommand.run(argument ~= '' and argument or nil, lines)
end

--- Completion of the command line.
function M.complete(lead, line)
  local name = line:match('^%s*%S+%s+(%S+)%s+%S*$')
  local candidates = names()
  if name then
    local subcommand = M.subcommands[name]
    candidates = subcommand and subcommand.complete and subcommand.complete() or {}
    table.sort(candidates)
  end
  return vim.tbl_filter(function(each)
    return vim.startswith(each, lead)
  end, candidates)
end

return M
