-- Requests to the server, with JSON's null as nil at every depth.

local M = {}

--- The same without vim.NIL.
---@generic T
---@param value T
---@return T?
function M.plain(value)
  if value == vim.NIL then
    return nil
  elseif type(value) == 'table' then
    for key, inner in pairs(value) do
      if inner == vim.NIL then
        value[key] = nil
      else
        M.plain(inner)
      end
    end
  end
  return value
end

--- `done` gets the answer, or nil and why there is none.
---@param client vim.lsp.Client
---@param method string
---@param params table
---@param done fun(answer: any, why: string?)
---@param buf? integer
---@return integer? id of the request
function M.send(client, method, params, done, buf)
  local sent, id = client:request(method, params, function(error, answer)
    answer = M.plain(answer)
    done(answer, answer == nil and (error and error.message or 'an empty answer') or nil)
  end, buf)
  if not sent then
    done(nil, 'the server is going away')
    return nil
  end
  return id
end

return M
