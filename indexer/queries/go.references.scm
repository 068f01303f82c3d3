(call_expression function: (identifier) @reference.call)
(call_expression function: (selector_expression field: (field_identifier) @reference.call))
(call_expression function: (parenthesized_expression (identifier) @reference.call))
(type_identifier) @reference.type

; Exported names used without a call.
(selector_expression field: (field_identifier) @reference.name)
(argument_list (identifier) @reference.name)
(binary_expression (identifier) @reference.name)
(expression_list (identifier) @reference.name)
(literal_element (identifier) @reference.name)
