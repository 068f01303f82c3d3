-- What Neovim starts as language server `foreword`; every field can be changed with vim.lsp.config('foreword', {…}).

---@type vim.lsp.Config
return {
  cmd = function(dispatchers)
    return require('foreword.server').spawn(dispatchers)
  end,
  root_markers = { '.git' },
  before_init = function(params, config)
    params.initializationOptions = (config.settings or {}).foreword -- `index` and others are read at start only
  end,
  handlers = {
    ['window/logMessage'] = function(...)
      return require('foreword.messages').keep(...)
    end,
  },
}
