(class_heritage (identifier) @reference.class)
(class_heritage (member_expression property: (property_identifier) @reference.class))
(jsx_opening_element name: (identifier) @reference.name)
(jsx_self_closing_element name: (identifier) @reference.name)
