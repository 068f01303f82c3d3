; What is called and which types are named, with the package or value before the dot.

(call_expression function: (identifier) @reference.call)
(call_expression function: (selector_expression operand: (_) @receiver field: (field_identifier) @reference.call))
(call_expression function: (parenthesized_expression (identifier) @reference.call))
(composite_literal type: [
  (type_identifier) @reference.class
  (generic_type type: (type_identifier) @reference.class)
  (qualified_type package: (_) @receiver name: (type_identifier) @reference.class)])
(type_identifier) @reference.type
(qualified_type package: (_) @receiver name: (type_identifier) @reference.type)

; Used without a call.
(selector_expression operand: (_) @receiver field: (field_identifier) @reference.name)
(argument_list (identifier) @reference.value)
(binary_expression (identifier) @reference.value)
(expression_list (identifier) @reference.value)
(keyed_element value: (literal_element (identifier) @reference.value))
(literal_value (literal_element (identifier) @reference.value))
