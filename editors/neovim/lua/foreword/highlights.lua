-- Highlight groups of our own, each a link that a colour scheme or a user may replace.

local M = {}

local LINKS = {
  ForewordGhost = vim.fn.hlexists('ComplHint') == 1 and 'ComplHint' or 'NonText',
  ForewordCount = vim.fn.hlexists('ComplHintMore') == 1 and 'ComplHintMore' or 'NonText',
  ForewordHead = 'Title',
  ForewordPath = 'Directory',
  ForewordLayer = 'Type',
  ForewordTokens = 'Number',
  ForewordCached = 'DiagnosticOk',
  ForewordNew = 'DiagnosticWarn',
  ForewordReason = 'Comment',
  ForewordTaken = 'DiagnosticOk',
  ForewordLeft = 'Comment',
}

function M.link()
  for name, target in pairs(LINKS) do
    vim.api.nvim_set_hl(0, name, { link = target, default = true })
  end
end

return M
