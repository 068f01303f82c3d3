; What is called (a method without arguments looks like a field, so fields count too), made, inherited, named as a type
; or imported.

(call_expression function: (identifier) @reference.call)
(call_expression function: (generic_function function: (identifier) @reference.call))
(field_expression field: (identifier) @reference.call)
(infix_expression operator: (identifier) @reference.call)
(instance_expression (type_identifier) @reference.class)
(instance_expression (generic_type type: (type_identifier) @reference.class))
(extends_clause (type_identifier) @reference.class)
(extends_clause (generic_type type: (type_identifier) @reference.class))
(type_identifier) @reference.type
(import_declaration path: (identifier) @reference.import .)
(namespace_selectors (identifier) @reference.import)
(arrow_renamed_identifier name: (identifier) @reference.import)
(as_renamed_identifier name: (identifier) @reference.import)

; Used without a call.
(field_expression value: (identifier) @reference.name)
(stable_identifier (identifier) @reference.name)
(stable_type_identifier (identifier) @reference.name)
(arguments (identifier) @reference.name)
(infix_expression (identifier) @reference.name)
(case_clause body: (identifier) @reference.name)
(val_definition value: (identifier) @reference.name)
(function_definition body: (identifier) @reference.name)
