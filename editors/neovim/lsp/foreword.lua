-- What Neovim starts as language server `foreword`; every field can be changed with vim.lsp.config('foreword', {…}).

---@type vim.lsp.Config
return {
  cmd = function(dispatchers)
    return require('foreword.server').spawn(dispatchers)
  end,
  root_markers = { '.git' },
  -- Neovim applies edits with versions, but does not say so; the server then refuses nothing that moved on.
  capabilities = { workspace = { workspaceEdit = { documentChanges = true } } },
  before_init = function(params, config)
    params.initializationOptions = (config.settings or {}).foreword -- `index` and others are read at start only
  end,
  handlers = {
    ['window/logMessage'] = function(...)
      return require('foreword.messages').keep(...)
    end,
  },
}
