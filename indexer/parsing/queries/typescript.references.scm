(extends_clause value: (identifier) @reference.class)
(extends_clause value: (member_expression object: (_) @receiver property: (property_identifier) @reference.class))
(type_identifier) @reference.type
(nested_type_identifier module: (_) @receiver name: (type_identifier) @reference.type)
(type_query (identifier) @reference.value)
