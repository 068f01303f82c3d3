; What C++ adds to C: references, `auto`, members, lambdas, loops over ranges, values in conditions.

(parameter_list (parameter_declaration type: (_) @type declarator: (reference_declarator [
  (identifier) @hoisted
  (pointer_declarator declarator: (identifier) @hoisted)])))
(parameter_list (parameter_declaration declarator: (reference_declarator (parenthesized_declarator) @unpacked)))
(parameter_list (optional_parameter_declaration type: (_) @type declarator: [
  (identifier) @hoisted
  (pointer_declarator declarator: (identifier) @hoisted)
  (reference_declarator (identifier) @hoisted)]))

(declaration type: (_) @type declarator: (reference_declarator (identifier) @local))
(declaration type: (_) @type declarator: (init_declarator
  declarator: (reference_declarator (identifier) @local) value: (_) @value))
(declaration
  type: (placeholder_type_specifier)
  declarator: (init_declarator
    declarator: [(identifier) @local (reference_declarator (identifier) @local)]
    value: (call_expression function: [
      (template_function
        name: (identifier) @made
        arguments: (template_argument_list . (type_descriptor) @type))
      (qualified_identifier name: (template_function
        name: (identifier) @made
        arguments: (template_argument_list . (type_descriptor) @type)))]))
  (#match? @made "^((static|dynamic|const|reinterpret)_cast|make_(unique|shared))$"))
(declaration type: (placeholder_type_specifier) declarator: (structured_binding_declarator (identifier) @local))
(declaration declarator: (init_declarator declarator: (structured_binding_declarator (identifier) @local)))
(condition_clause value: (declaration
  type: (placeholder_type_specifier)
  declarator: [
    (identifier) @local
    (pointer_declarator declarator: (identifier) @local)
    (reference_declarator (identifier) @local)]
  value: (_) @value))
(for_range_loop type: (_) @type declarator: (identifier) @local)
(for_range_loop type: (_) @type declarator: (pointer_declarator declarator: (identifier) @local))
(for_range_loop type: (_) @type declarator: (reference_declarator (identifier) @local))
(for_range_loop declarator: (structured_binding_declarator (identifier) @local))
(for_range_loop declarator: (reference_declarator (structured_binding_declarator (identifier) @local)))
(field_declaration type: (_) @type declarator: (reference_declarator (field_identifier) @field))

; In a body this makes a variable; that it could declare a function is forgotten.
(compound_statement (declaration type: (_) @type declarator: (function_declarator declarator: (identifier) @local)))

(lambda_expression) @scope.arrow
(for_range_loop) @scope.block
(if_statement) @scope.block
(while_statement) @scope.block
(catch_clause) @scope.function
(declaration declarator: (reference_declarator (function_declarator parameters: (_) @scope.function)))
(field_declaration declarator: (reference_declarator (function_declarator parameters: (_) @scope.function)))
(requires_expression) @scope.function
(type_descriptor declarator: (abstract_function_declarator parameters: (_) @scope.function))
