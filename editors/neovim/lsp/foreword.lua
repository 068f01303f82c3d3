-- What Neovim starts as language server `foreword`; every field can be changed with vim.lsp.config('foreword', {…}).

---@type vim.lsp.Config
return {
  cmd = function(dispatchers)
    return require('foreword.server').spawn(dispatchers)
  end,
  root_markers = { '.git' },
  capabilities = {
    workspace = {
      -- Neovim applies edits with versions without saying so; files are made and changed after a review.
      workspaceEdit = { documentChanges = true, changeAnnotationSupport = { groupsOnLabel = false } },
    },
    experimental = { foreword = { ask = true, plan = true, helped = true } },
  },
  before_init = function(params, config)
    params.initializationOptions = (config.settings or {}).foreword -- `index` and others are read at start only
  end,
  commands = {
    ['foreword.edit'] = function(...)
      require('foreword.edit').of_action(...)
    end,
  },
  handlers = {
    ['workspace/applyEdit'] = function(...)
      local answer = require('foreword.review').handle(...)
      require('foreword.helped').applied(select(2, ...))
      return answer
    end,
    ['foreword/helped'] = function(_, told)
      require('foreword.helped').told(require('foreword.request').plain(told))
    end,
    ['foreword/plan'] = function(...)
      require('foreword.plan').take(...)
    end,
    ['window/showMessage'] = function(...)
      return require('foreword.messages').show(...)
    end,
    ['window/logMessage'] = function(...)
      return require('foreword.messages').keep(...)
    end,
  },
}
