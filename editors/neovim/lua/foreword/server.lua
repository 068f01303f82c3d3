-- The server's process: started for every file, started anew when it dies, given up with one message.

local M = {}

local NAME = 'foreword'
local DEATHS = 5 -- within WINDOW_S; then it is given up
local WINDOW_S = 180
local FIRST_WAIT_MS = 1000 -- before it is started anew; then twice as long each time

---@type number[] seconds, when it died of itself
local deaths = {}
---@type string why there is no server, empty where there may be one
M.trouble = ''

local INSTALL = 'Install it (README.md), or say where it is: '
  .. "require('foreword').setup({ cmd = { '/path/to/foreword', 'lsp' } }). Then :Foreword restart."

local function command()
  return require('foreword.options').current.cmd
end

--- What :checkhealth and messages say where the command is missing, nil where it is there.
---@return string?
function M.missing()
  local program = command()[1]
  if vim.fn.executable(program) == 1 then
    return nil
  end
  return ("the command '%s' is not found. %s"):format(program, INSTALL)
end

---@return vim.lsp.Client?
function M.client()
  return vim.lsp.get_clients({ bufnr = 0, name = NAME })[1] or vim.lsp.get_clients({ name = NAME })[1]
end

local function tell(message, level)
  vim.schedule(function()
    vim.notify('foreword: ' .. message, level)
    require('foreword.status').refresh()
  end)
end

--- Whether the server died too often.
function M.gave_up()
  return #deaths >= DEATHS
end

local function give_up(code)
  M.trouble = ('the server died %d times, the last time with status %d'):format(#deaths, code)
  vim.schedule(function()
    vim.lsp.enable(NAME, false)
  end)
  local help = ':Foreword log tells why, :Foreword doctor looks for it, :Foreword restart tries again.'
  tell(('%s. %s'):format(M.trouble, help), vim.log.levels.ERROR)
end

--- Status 0 is a server that was asked to go.
local function ended(code)
  if code == 0 or vim.v.exiting ~= vim.NIL or M.gave_up() then
    return
  end
  local now = vim.uv.now() / 1000
  table.insert(deaths, now)
  deaths = vim.tbl_filter(function(at)
    return now - at <= WINDOW_S
  end, deaths)
  require('foreword.messages').keep(
    nil,
    { type = 1, message = ('the server ended with status %d'):format(code) }
  )
  if #deaths >= DEATHS then
    give_up(code)
    return
  end
  vim.defer_fn(function()
    if vim.lsp.is_enabled and not vim.lsp.is_enabled(NAME) then
      return
    end
    vim.lsp.enable(NAME)
  end, FIRST_WAIT_MS * 2 ^ (#deaths - 1))
end

--- Starts the process for a client. Its death is told here, once, and not by Neovim at each time.
---@param dispatchers vim.lsp.rpc.Dispatchers
function M.spawn(dispatchers)
  local told = dispatchers.on_exit
  dispatchers.on_exit = function(code, signal)
    local status = code ~= 0 and code or (signal ~= 0 and signal ~= 15 and 128 + signal or 0)
    told(0, 0)
    vim.schedule(function()
      ended(status)
    end)
  end
  return vim.lsp.rpc.start(command(), dispatchers)
end

--- For every file that is open and every one that will be.
function M.start()
  M.trouble = M.missing() or ''
  if M.trouble ~= '' then
    tell(M.trouble, vim.log.levels.WARN)
    return
  end
  local current = require('foreword.options').current
  vim.lsp.config(NAME, {
    settings = next(current.settings) and { foreword = current.settings } or nil,
    filetypes = current.filetypes,
  })
  vim.lsp.enable(NAME)
end

--- Ends what runs, forgets earlier deaths, and starts anew.
function M.restart()
  deaths = {}
  vim.lsp.enable(NAME, false)
  local clients = vim.lsp.get_clients({ name = NAME })
  local function gone()
    return #vim.lsp.get_clients({ name = NAME }) == 0
  end
  local function again(tries)
    if gone() or tries == 0 then
      for _, client in ipairs(vim.lsp.get_clients({ name = NAME })) do
        client:stop(true)
      end
      M.start()
    else
      vim.defer_fn(function()
        again(tries - 1)
      end, 100)
    end
  end
  for _, client in ipairs(clients) do
    client:stop()
  end
  again(50)
end

return M
