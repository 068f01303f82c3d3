; What names are, in JavaScript and TypeScript alike.

(lexical_declaration (variable_declarator name: (identifier) @local value: (_) @value))
(lexical_declaration (variable_declarator name: (identifier) @declared !value))
(variable_declaration (variable_declarator name: (identifier) @hoisted value: (_) @value))
(variable_declaration (variable_declarator name: (identifier) @declared !value))
(lexical_declaration (variable_declarator name: [(object_pattern) (array_pattern)] @unpacked.local value: (_)? @value))
(variable_declaration (variable_declarator name: [(object_pattern) (array_pattern)] @unpacked value: (_)? @value))
(assignment_expression left: (identifier) @assigned right: (_) @value)
(augmented_assignment_expression left: (identifier) @assigned)
(assignment_expression left: [(object_pattern) (array_pattern)] @unpacked.assigned)
(assignment_expression
  left: (member_expression object: (this) @object property: [(property_identifier) (private_property_identifier)] @field)
  right: (_) @value)
(augmented_assignment_expression
  left: (member_expression object: (this) @object property: [(property_identifier) (private_property_identifier)] @field))

(assignment_pattern left: (identifier) @local)
(assignment_pattern left: [(object_pattern) (array_pattern)] @unpacked.local)
(rest_pattern (identifier) @local)
(arrow_function parameter: (identifier) @local)
(catch_clause parameter: (identifier) @local)
(catch_clause parameter: [(object_pattern) (array_pattern)] @unpacked.local)
(for_in_statement left: (identifier) @local)
(for_in_statement left: [(object_pattern) (array_pattern)] @unpacked.local)

[(function_declaration) (function_expression) (generator_function) (generator_function_declaration) (method_definition)] @scope.function
(arrow_function) @scope.arrow
[(statement_block) (for_statement) (for_in_statement) (catch_clause) (switch_body)] @scope.block
