; JavaScript and TypeScript alike.

(class_declaration name: (_) @name) @definition.class
(class name: (_) @name) @definition.class
(function_declaration name: (_) @name) @definition.function
(generator_function_declaration name: (_) @name) @definition.function
(function_expression name: (_) @name) @definition.function
(method_definition name: (_) @name) @definition.method

(lexical_declaration (variable_declarator
  name: (identifier) @name
  value: [(arrow_function) (function_expression) (generator_function)]) @definition.function)
(variable_declaration (variable_declarator
  name: (identifier) @name
  value: [(arrow_function) (function_expression) (generator_function)]) @definition.function)
(lexical_declaration (variable_declarator name: (identifier) @name value: (class)) @definition.class)

(assignment_expression
  left: [(identifier) @name (member_expression property: (property_identifier) @name)]
  right: [(arrow_function) (function_expression) (generator_function)]) @definition.function
(pair
  key: (property_identifier) @name
  value: [(arrow_function) (function_expression) (generator_function)]) @definition.method

; Other values only at module level; `require` makes an import, not a constant.
(program (lexical_declaration (variable_declarator name: (identifier) @name value: (_) @value) @definition.constant))
(program (variable_declaration (variable_declarator name: (identifier) @name value: (_) @value) @definition.constant))
(export_statement (lexical_declaration (variable_declarator name: (identifier) @name value: (_) @value) @definition.constant))
