-- The plan of an edit of several files: told when it is made; and beside a review, the files of it that nothing changes.

local M = {}

---@class foreword.PlanFile
---@field verb string
---@field path string
---@field uri string
---@field state? string
---@field reason? string

---@type {edit: string, files: foreword.PlanFile[]}? the last one
local last

local ROOM = 20 -- columns that Neovim takes for itself below a message: a longer one waits for a key

---@param files foreword.PlanFile[]
local function in_one_line(files)
  local names = vim.tbl_map(function(file)
    return (file.verb == 'change' and '' or file.verb .. ' ') .. file.path
  end, files)
  local count = #files == 1 and '1 file' or ('%d files'):format(#files)
  local told = ('foreword: the plan has %s: %s'):format(count, table.concat(names, ', '))
  local room = math.max(40, vim.o.columns - ROOM)
  return #told <= room and told or vim.fn.strcharpart(told, 0, room - 1) .. '…'
end

--- The handler of foreword/plan, which comes again whenever a file of it has gone on.
function M.take(_, params)
  local is_new = not last or last.edit ~= params.edit
  last = params
  if is_new then
    vim.notify(in_one_line(params.files)) -- with what changes in each it is in :Foreword log
  end
end

--- Lines about the files of the plan that these changes leave out; none where the changes are of no plan.
---@param uris table<string, true> of what is changed
---@return string[]
function M.without_change(uris)
  local files, planned, lines = last and last.files or {}, {}, {}
  for _, file in ipairs(files) do
    planned[file.uri] = true
    local state = file.state or 'waiting'
    if state == 'unchanged' or state == 'failed' or state == 'left out' then
      local why = file.reason and (': ' .. file.reason) or ''
      table.insert(lines, ('    %s, %s%s'):format(file.path, state, why))
    end
  end
  for uri in pairs(uris) do
    if not planned[uri] then
      return {}
    end
  end
  return lines
end

return M
