; What names are: assignments, parameters, loops, `with`, patterns.

(assignment left: (identifier) @hoisted right: (_) @value !type)
(assignment left: (identifier) @hoisted type: (type) @type)
(assignment left: (attribute object: (identifier) @object attribute: (identifier) @field) right: (_) @value !type)
(assignment left: (attribute object: (identifier) @object attribute: (identifier) @field) type: (type) @type)
(assignment left: [(pattern_list) (tuple_pattern) (list_pattern)] @unpacked)
(pattern_list (attribute object: (identifier) @object attribute: (identifier) @field))
(tuple_pattern (attribute object: (identifier) @object attribute: (identifier) @field))
(augmented_assignment left: (identifier) @hoisted)
(augmented_assignment left: (attribute object: (identifier) @object attribute: (identifier) @field))
(named_expression name: (identifier) @hoisted value: (_) @value)

(parameters . (identifier) @first)
(parameters (_) . (identifier) @hoisted)
(lambda_parameters (identifier) @hoisted)
(default_parameter name: (identifier) @hoisted)
(typed_parameter . (identifier) @hoisted type: (type) @type)
(typed_default_parameter name: (identifier) @hoisted type: (type) @type)
(list_splat_pattern (identifier) @hoisted)
(dictionary_splat_pattern (identifier) @hoisted)

(for_statement left: (_) @unpacked)
(for_in_clause left: (_) @unpacked.local)
(with_item value: (as_pattern (_) @entered alias: (as_pattern_target (identifier) @hoisted)))
(with_item value: (as_pattern alias: (as_pattern_target [(tuple) (list)] @unpacked)))
(except_clause value: (as_pattern (_) @type alias: (as_pattern_target (identifier) @hoisted)))
(case_pattern (dotted_name . (identifier) @hoisted .))
(keyword_pattern (dotted_name . (identifier) @hoisted .))
(as_pattern (case_pattern) (identifier) @hoisted)
(splat_pattern (identifier) @hoisted)
(global_statement (identifier) @outer)
(nonlocal_statement (identifier) @outer)

(lambda) @scope.arrow
(list_comprehension) @scope.block
(set_comprehension) @scope.block
(dictionary_comprehension) @scope.block
(generator_expression) @scope.block
