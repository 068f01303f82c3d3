(jsx_opening_element name: (identifier) @reference.name)
(jsx_self_closing_element name: (identifier) @reference.name)
(jsx_expression (identifier) @reference.value)
