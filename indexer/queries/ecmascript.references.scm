; What is called, made, inherited or imported.

(call_expression function: (identifier) @reference.call)
(call_expression function: (member_expression property: (property_identifier) @reference.call))
(new_expression constructor: (identifier) @reference.class)
(new_expression constructor: (member_expression property: (property_identifier) @reference.class))
(decorator (identifier) @reference.call)
(decorator (call_expression function: (identifier) @reference.call))
(import_specifier name: (identifier) @reference.import)
(import_clause (identifier) @reference.import)
(export_specifier name: (identifier) @reference.name)

; Named without being called: only what is written like a class or a constant counts.
(arguments (identifier) @reference.name)
(member_expression object: (identifier) @reference.name)
(member_expression property: (property_identifier) @reference.name)
(pair value: (identifier) @reference.name)
(variable_declarator value: (identifier) @reference.name)
(binary_expression (identifier) @reference.name)
(return_statement (identifier) @reference.name)
(shorthand_property_identifier) @reference.name
