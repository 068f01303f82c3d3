-- What the plug-in listens to.

local M = {}

local METHOD = 'textDocument/inlineCompletion'

local function ours(id)
  local client = vim.lsp.get_client_by_id(id)
  return client ~= nil and client.name == 'foreword'
end

function M.listen()
  local group = vim.api.nvim_create_augroup('foreword', {})
  local function on(event, callback)
    vim.api.nvim_create_autocmd(event, { group = group, callback = callback })
  end
  on('LspAttach', function(event)
    if ours(event.data.client_id) then
      require('foreword.pause').apply(event.buf)
      require('foreword.status').refresh()
      require('foreword.helped').tell(event.buf)
      require('foreword.cursor').moved()
    end
  end)
  on('LspDetach', function(event)
    if ours(event.data.client_id) then
      vim.schedule(require('foreword.status').refresh)
    end
  end)
  on('LspProgress', function(event)
    if ours(event.data.client_id) then
      require('foreword.status').progress(event.data.params.value)
    end
  end)
  on('LspRequest', function(event)
    local request = event.data.request
    require('foreword.helped').requested(event.data)
    if request.method == METHOD and ours(event.data.client_id) then
      require('foreword.status').requested(event.data.request_id, request.type)
      if request.type == 'complete' then
        require('foreword.ghost').answered()
      end
    end
  end)
  on('DiagnosticChanged', function(event)
    require('foreword.helped').tell(event.buf)
  end)
  require('foreword.helped').listen()
  on('CursorMovedI', function()
    require('foreword.ghost').moved()
  end)
  on({ 'BufEnter', 'CursorMoved', 'CursorMovedI' }, function()
    require('foreword.cursor').moved()
  end)
  on({ 'TextChangedI', 'TextChangedP' }, function()
    require('foreword.impatience').typed()
  end)
  on('InsertLeave', function()
    require('foreword.ghost').left_insert()
  end)
  on('ColorScheme', function()
    require('foreword.highlights').link()
  end)
end

return M
