; Parameters, variables and fields with their types. An array or a pointer to a function has no type that its members
; could be read from.

(parameter_list (parameter_declaration type: (_) @type declarator: [
  (identifier) @hoisted
  (pointer_declarator declarator: (identifier) @hoisted)
  (pointer_declarator declarator: (pointer_declarator declarator: (identifier) @hoisted))]))
(parameter_list (parameter_declaration declarator: [
  (array_declarator declarator: (identifier) @hoisted)
  (pointer_declarator declarator: (array_declarator declarator: (identifier) @hoisted))
  (function_declarator declarator: (parenthesized_declarator (pointer_declarator declarator: (identifier) @hoisted)))]))

(declaration type: (_) @type declarator: (identifier) @local)
(declaration type: (_) @type declarator: (pointer_declarator declarator: (identifier) @local))
(declaration type: (_) @type declarator: (pointer_declarator
  declarator: (pointer_declarator declarator: (identifier) @local)))
(declaration type: (_) @type declarator: (init_declarator declarator: (identifier) @local value: (_) @value))
(declaration type: (_) @type declarator: (init_declarator
  declarator: (pointer_declarator declarator: (identifier) @local) value: (_) @value))
(declaration type: (_) @type declarator: (init_declarator declarator: (pointer_declarator
  declarator: (pointer_declarator declarator: (identifier) @local))))
(declaration declarator: (array_declarator declarator: (identifier) @local))
(declaration declarator: (pointer_declarator declarator: (array_declarator declarator: (identifier) @local)))
(declaration declarator: (init_declarator declarator: (array_declarator declarator: (identifier) @local)))
(declaration declarator: (init_declarator
  declarator: (pointer_declarator declarator: (array_declarator declarator: (identifier) @local))))
(declaration declarator: (function_declarator
  declarator: (parenthesized_declarator (pointer_declarator declarator: (identifier) @local))))
(declaration declarator: (init_declarator declarator: (function_declarator
  declarator: (parenthesized_declarator (pointer_declarator declarator: (identifier) @local)))))

(field_declaration type: (_) @type declarator: (field_identifier) @field)
(field_declaration type: (_) @type declarator: (pointer_declarator declarator: (field_identifier) @field))
(field_declaration type: (_) @type declarator: (pointer_declarator
  declarator: (pointer_declarator declarator: (field_identifier) @field)))

(function_definition) @scope.function
(compound_statement) @scope.block
(for_statement) @scope.block

; The parameters of what is only declared.
(declaration declarator: (function_declarator parameters: (_) @scope.function))
(declaration declarator: (pointer_declarator declarator: (function_declarator parameters: (_) @scope.function)))
(declaration declarator: (init_declarator declarator: (function_declarator parameters: (_) @scope.function)))
(field_declaration declarator: (function_declarator parameters: (_) @scope.function))
(field_declaration declarator: (pointer_declarator declarator: (function_declarator parameters: (_) @scope.function)))
(declaration declarator: (pointer_declarator
  declarator: (pointer_declarator declarator: (function_declarator parameters: (_) @scope.function))))
(field_declaration declarator: (pointer_declarator
  declarator: (pointer_declarator declarator: (function_declarator parameters: (_) @scope.function))))
(parameter_declaration declarator: (function_declarator parameters: (_) @scope.function))
(type_definition declarator: (function_declarator parameters: (_) @scope.function))
(type_definition declarator: (pointer_declarator declarator: (function_declarator parameters: (_) @scope.function)))
