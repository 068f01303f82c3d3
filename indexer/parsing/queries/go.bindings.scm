; Receivers, parameters, variables and fields with their types.

(parameter_declaration name: (identifier) @hoisted type: (_) @type)
(variadic_parameter_declaration name: (identifier) @hoisted)
(var_spec name: (identifier) @local type: (_) @type)
(var_spec . name: (identifier) @local . value: (expression_list . (_) @value .) !type)
(var_spec
  . name: (identifier) @local . name: (identifier) . value: (expression_list . (_) @value . (_) .) !type)
(var_spec
  . name: (identifier) . name: (identifier) @local . value: (expression_list . (_) . (_) @value .) !type)
(var_spec name: (identifier) @local !type)
(const_spec name: (identifier) @local type: (_) @type)
(const_spec name: (identifier) @local !type)
(field_declaration name: (field_identifier) @field type: (_) @type)
(field_declaration !name type: (type_identifier) @field @type)
(field_declaration !name type: (qualified_type name: (type_identifier) @field) @type)
(field_declaration !name type: (generic_type type: (type_identifier) @field) @type)

; Of several names and one call, the first is the first result; several names and values go in pairs.
(short_var_declaration
  left: (expression_list . (identifier) @local .)
  right: (expression_list . (call_expression
    function: (identifier) @made
    arguments: (argument_list . [(type_identifier) (qualified_type) (generic_type)] @type)) .)
  (#eq? @made "new"))
(short_var_declaration
  left: (expression_list . (identifier) @local)
  right: (expression_list . (type_assertion_expression) @value .))
(short_var_declaration
  left: (expression_list . (identifier) @local)
  right: (expression_list . (call_expression) @value .))
(short_var_declaration
  left: (expression_list . (identifier) @local .)
  right: (expression_list . (_) @value .))
(short_var_declaration
  left: (expression_list . (identifier) @local . (identifier) .)
  right: (expression_list . (_) @value . (_) .))
(short_var_declaration
  left: (expression_list . (identifier) . (identifier) @local .)
  right: (expression_list . (_) . (_) @value .))
(short_var_declaration left: (expression_list (identifier) @local))
(assignment_statement
  left: (expression_list . (identifier) @assigned .)
  right: (expression_list . (_) @value .))
(range_clause left: (expression_list (identifier) @local))
(receive_statement left: (expression_list (identifier) @local))
(type_switch_statement alias: (expression_list (identifier) @local))

(func_literal) @scope.arrow
(block) @scope.block
(if_statement) @scope.block
(for_statement) @scope.block
(expression_switch_statement) @scope.block
(type_switch_statement) @scope.block
(expression_case) @scope.block
(type_case) @scope.block
(communication_case) @scope.block
(method_elem) @scope.function
(function_type) @scope.function
