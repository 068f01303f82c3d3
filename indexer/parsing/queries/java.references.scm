; What is called, named as a type or imported, with what stands before its dot.

(method_invocation !object name: (identifier) @reference.call)
(method_invocation object: (_) @receiver name: (identifier) @reference.call)
(method_reference . (_) @receiver (identifier) @reference.call .)
(import_declaration (scoped_identifier name: (identifier) @reference.import))
(object_creation_expression type: [
  (type_identifier) @reference.class
  (generic_type (type_identifier) @reference.class)
  (scoped_type_identifier . (_) @receiver (type_identifier) @reference.class .)
  (generic_type (scoped_type_identifier . (_) @receiver (type_identifier) @reference.class .))])
(superclass [
  (type_identifier) @reference.class
  (generic_type (type_identifier) @reference.class)
  (scoped_type_identifier . (_) @receiver (type_identifier) @reference.class .)
  (generic_type (scoped_type_identifier . (_) @receiver (type_identifier) @reference.class .))])
(type_list [(type_identifier) @reference.class (generic_type . (type_identifier) @reference.class)])
(type_identifier) @reference.type
(scoped_type_identifier . (_) @receiver (type_identifier) @reference.type .)
(annotation name: (identifier) @reference.type)
(marker_annotation name: (identifier) @reference.type)

; Used without a call.
(method_invocation object: (identifier) @reference.name)
(method_reference . (identifier) @reference.name)
(field_access object: (identifier) @reference.name)
(field_access object: (_) @receiver field: (identifier) @reference.name)
(argument_list (identifier) @reference.value)
(binary_expression (identifier) @reference.value)
(variable_declarator value: (identifier) @reference.value)
(assignment_expression right: (identifier) @reference.value)
(return_statement (identifier) @reference.value)
(ternary_expression (identifier) @reference.value)
(switch_label (identifier) @reference.value)
