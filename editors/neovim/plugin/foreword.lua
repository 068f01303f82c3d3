-- Sourced once when Neovim starts: names only. The rest of the plug-in is loaded when it is first needed.

if vim.g.loaded_foreword then
  return
end
vim.g.loaded_foreword = true

vim.api.nvim_create_user_command('Foreword', function(given)
  require('foreword.command').run(given)
end, {
  nargs = '*',
  range = true,
  desc = 'Foreword: status, context, pause, edit, …',
  complete = function(lead, line)
    return require('foreword.command').complete(lead, line)
  end,
})

for name, how in pairs({ accept = 'all', ['accept-word'] = 'word', ['accept-line'] = 'line' }) do
  vim.keymap.set('i', ('<Plug>(foreword-%s)'):format(name), function()
    require('foreword.ghost').accept(how)
  end, { desc = 'Foreword: ' .. name })
end
for name, step in pairs({ next = 1, previous = -1 }) do
  vim.keymap.set('i', ('<Plug>(foreword-%s)'):format(name), function()
    require('foreword.ghost').choose(step)
  end, { desc = 'Foreword: the ' .. name .. ' candidate' })
end
vim.keymap.set('i', '<Plug>(foreword-dismiss)', function()
  require('foreword.ghost').dismiss()
end, { desc = 'Foreword: dismiss' })

local function start()
  require('foreword').start()
end
if vim.v.vim_did_enter == 1 then
  start()
else
  vim.api.nvim_create_autocmd('VimEnter', { once = true, callback = start })
end
