; What is called, made, inherited or imported.

(call_expression function: (identifier) @reference.call)
(call_expression function: (member_expression
  object: (_) @receiver property: [(property_identifier) (private_property_identifier)] @reference.call))
(new_expression constructor: (identifier) @reference.class)
(new_expression constructor: (member_expression object: (_) @receiver property: (property_identifier) @reference.class))
(decorator (identifier) @reference.call)
(decorator (member_expression object: (_) @receiver property: (property_identifier) @reference.call))
(import_specifier name: (identifier) @reference.import)
(import_clause (identifier) @reference.import)

; Passed, returned, exported or kept without being called.
(export_specifier name: (identifier) @reference.value)
(export_statement value: (identifier) @reference.value)
(arguments (identifier) @reference.value)
(array (identifier) @reference.value)
(pair value: (identifier) @reference.value)
(shorthand_property_identifier) @reference.value
(spread_element (identifier) @reference.value)
(variable_declarator value: (identifier) @reference.value)
(assignment_expression right: (identifier) @reference.value)
(assignment_pattern right: (identifier) @reference.value)
(arrow_function body: (identifier) @reference.value)
(return_statement (identifier) @reference.value)
(ternary_expression consequence: (identifier) @reference.value)
(ternary_expression alternative: (identifier) @reference.value)

; Looked at: only what is written like a class or a constant.
(member_expression) @reference.member
(subscript_expression object: (identifier) @reference.name)
(binary_expression (identifier) @reference.name)
(template_substitution (identifier) @reference.name)
