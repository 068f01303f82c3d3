; What is called or made, inherited, named as a type or imported.

(call_expression . (simple_identifier) @reference.call)
(call_expression . (navigation_expression
  suffix: (navigation_suffix suffix: (simple_identifier) @reference.call)))
(call_expression . (prefix_expression target: (simple_identifier) @reference.call))
(constructor_expression constructed_type: (user_type (type_identifier) @reference.class))
(inheritance_specifier inherits_from: (user_type (type_identifier) @reference.class))
(type_identifier) @reference.type
(import_declaration (identifier (simple_identifier) @reference.import .))

; Used without a call.
(navigation_expression target: (simple_identifier) @reference.name)
(navigation_suffix suffix: (simple_identifier) @reference.name)
(value_argument value: (simple_identifier) @reference.name)
(parameter (simple_identifier) @reference.name)
(control_transfer_statement result: (simple_identifier) @reference.name)
