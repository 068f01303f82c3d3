; Parameters, variables and fields with their types. `var` takes the type of its value.

(formal_parameter type: (_) @type name: (identifier) @hoisted)
(spread_parameter (variable_declarator name: (identifier) @hoisted))
(inferred_parameters (identifier) @hoisted)
(lambda_expression parameters: (identifier) @hoisted)
(catch_formal_parameter (catch_type . (_) @type .) name: (identifier) @local)
(catch_formal_parameter name: (identifier) @local)
(local_variable_declaration type: (_) @type declarator: (variable_declarator
  name: (identifier) @local !dimensions !value))
(local_variable_declaration type: (_) @type declarator: (variable_declarator
  name: (identifier) @local !dimensions value: (_) @value))
(local_variable_declaration declarator: (variable_declarator name: (identifier) @local dimensions: (_)))
(enhanced_for_statement type: (_) @type name: (identifier) @local)
(resource type: (_) @type name: (identifier) @local value: (_) @value)
(instanceof_expression right: (_) @type name: (identifier) @local)
(type_pattern . (_) @type . (identifier) @local)
(record_pattern_component . (_) @type . (identifier) @local)
(field_declaration type: (_) @type declarator: (variable_declarator name: (identifier) @field !dimensions))
(field_declaration declarator: (variable_declarator name: (identifier) @field dimensions: (_)))
(constant_declaration type: (_) @type declarator: (variable_declarator name: (identifier) @field !dimensions))

(lambda_expression) @scope.arrow
(block) @scope.block
(for_statement) @scope.block
(enhanced_for_statement) @scope.block
(if_statement) @scope.block
(try_with_resources_statement) @scope.block
(catch_clause) @scope.block
(switch_rule) @scope.block
(switch_block_statement_group) @scope.block
(object_creation_expression (class_body) @scope.unknown)
(enum_constant body: (class_body) @scope.unknown)
