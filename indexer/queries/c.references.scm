(call_expression function: (identifier) @reference.call)
(call_expression function: (field_expression field: (field_identifier) @reference.call))
(type_identifier) @reference.type

; Macros and constants used without a call.
(argument_list (identifier) @reference.name)
(binary_expression (identifier) @reference.name)
(init_declarator value: (identifier) @reference.name)
(assignment_expression right: (identifier) @reference.name)
(return_statement (identifier) @reference.name)
(case_statement value: (identifier) @reference.name)
(array_declarator size: (identifier) @reference.name)
(field_expression argument: (identifier) @reference.name)
