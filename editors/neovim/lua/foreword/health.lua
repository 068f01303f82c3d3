-- :checkhealth foreword: what is wrong, and what to do.

local M = {}

local WAIT_MS = 3000 -- for an answer of a command or a server that work

local health = vim.health

local function check_neovim()
  local version = tostring(vim.version())
  if require('foreword').has_ghost_text() then
    health.ok('Neovim ' .. version .. ' shows ghost text')
  elseif vim.fn.has('nvim-0.11') == 1 then
    health.warn('Neovim ' .. version .. ' has everything but ghost text', {
      'Ghost text needs Neovim 0.12 or newer.',
      'Without it, completions can be had in the completion menu: setup({ settings = { completionItems = true } })',
    })
  else
    health.error('Neovim ' .. version .. ' is too old', 'Neovim 0.11 or newer is needed.')
  end
end

--- What a command prints, or nil and why it failed.
local function output_of(command)
  local started, process = pcall(vim.system, command, { text = true, timeout = WAIT_MS * 3 })
  if not started then
    return nil, tostring(process)
  end
  local done = process:wait()
  if done.code ~= 0 then
    return nil,
      vim.trim(done.stderr ~= '' and done.stderr or done.stdout or '') .. (' (status %d)'):format(done.code)
  end
  return vim.trim(done.stdout)
end

--- The Python that a console script names in its first line, nil where it is no script.
local function python_of(program)
  local file = io.open(program, 'r')
  local first = file and file:read('*l') or ''
  if file then
    file:close()
  end
  return first:match('^#!%s*(%S*python%S*)')
end

local function check_command()
  local missing = require('foreword.server').missing()
  if missing then
    health.error(missing)
    return false
  end
  local program = vim.fn.exepath(require('foreword.options').current.cmd[1])
  local python = python_of(program)
  if python and vim.fn.executable(python) == 0 then
    health.error(
      program .. ' was installed for a Python that is gone: ' .. python,
      'Install Foreword anew (make setup).'
    )
    return false
  end
  local version, why = output_of({ program, '--version' })
  if not version then
    health.error(
      program .. ' does not run: ' .. why,
      'Install Foreword anew (make setup), or see :Foreword doctor.'
    )
    return false
  end
  health.ok(('%s at %s'):format(version, program))
  if python then
    health.info((output_of({ python, '--version' }) or python) .. ' at ' .. python)
  end
  return true
end

local function check_keys()
  for lhs, what in pairs(require('foreword.keys').taken) do
    health.info(
      ('%s is left to its mapping (%s); see :help foreword-keys for the <Plug> names'):format(lhs, what)
    )
  end
end

local function answer_of(client)
  local response, why = client:request_sync('foreword/status', vim.empty_dict(), WAIT_MS)
  if not response then
    return nil, why or 'no answer'
  end
  return require('foreword.request').plain(response.result), response.err and response.err.message
end

local function report_engine(engine)
  if engine.state == 'ready' then
    health.ok(('engine: %s%s'):format(engine.model, engine.device and ' on ' .. engine.device or ''))
  elseif engine.state == 'failed' then
    health.error(
      'engine: ' .. (engine.reason or 'failed'),
      { 'See :Foreword doctor, then :Foreword restart.' }
    )
  elseif engine.state == 'off' then
    health.info('engine: switched off by the setting engine.kind')
  else
    local progress = engine.progress and (' (%s)'):format(engine.progress.stage) or ''
    health.warn(
      'engine: it starts' .. progress,
      'The first start fetches the model: this takes minutes once.'
    )
  end
end

local function report_index(index)
  if index.state == 'off' then
    health.info('index: switched off by the setting index')
    return
  elseif index.state ~= 'connected' then
    health.error('index: ' .. (index.reason or index.state), 'See :Foreword doctor, then :Foreword restart.')
    return
  end
  if #(index.roots or {}) == 0 then
    health.warn(
      'index: no folder is open',
      'Open a file below a folder with .git, or set root_markers: :help foreword-root'
    )
  end
  for _, root in ipairs(index.roots or {}) do
    local told = ('index: %s, %d files, %s'):format(root.root, root.files, root.state)
    if root.state == 'failed' then
      health.error(told .. ': ' .. (root.error or ''), 'See :Foreword doctor.')
    else
      health.ok(told)
    end
  end
end

local function check_server()
  local server = require('foreword.server')
  if server.trouble ~= '' then
    health.error(server.trouble, { ':Foreword log tells why.', ':Foreword restart tries again.' })
    return
  end
  local client = server.client()
  if not client then
    health.warn(
      'no server is running',
      'It starts with the first file that is opened; :Foreword restart starts it now.'
    )
    return
  end
  health.ok(
    ('the server is attached to %d buffers, root %s'):format(
      vim.tbl_count(client.attached_buffers),
      client.root_dir or 'none'
    )
  )
  local status, why = answer_of(client)
  if not status then
    health.error('the server does not answer: ' .. why, ':Foreword log, then :Foreword restart.')
    return
  end
  report_engine(status.engine)
  report_index(status.index)
  for _, complaint in ipairs(status.complaints or {}) do
    health.warn('a setting was not taken: ' .. complaint, "Correct it in require('foreword').setup().")
  end
end

function M.check()
  health.start('foreword: editor')
  check_neovim()
  check_keys()
  health.start('foreword: command')
  local works = check_command()
  if works or require('foreword.server').client() or require('foreword.server').gave_up() then
    health.start('foreword: server')
    check_server()
  end
end

return M
