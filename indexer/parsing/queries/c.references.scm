; What is called, with what stands before its dot or arrow, and which types are named.

(call_expression function: (identifier) @reference.call)
(call_expression function: (field_expression argument: (_) @receiver field: (field_identifier) @reference.call))
(type_identifier) @reference.type

; Macros, constants and functions used without a call.
(argument_list (identifier) @reference.value)
(binary_expression (identifier) @reference.value)
(init_declarator value: (identifier) @reference.value)
(initializer_list (identifier) @reference.value)
(initializer_pair value: (identifier) @reference.value)
(assignment_expression right: (identifier) @reference.value)
(pointer_expression argument: (identifier) @reference.value)
(return_statement (identifier) @reference.value)
(conditional_expression (identifier) @reference.value)
(case_statement value: (identifier) @reference.value)
(array_declarator size: (identifier) @reference.value)
(field_expression argument: (identifier) @reference.name)
