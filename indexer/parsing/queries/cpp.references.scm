; What C++ adds to C.

(new_expression type: [
  (type_identifier) @reference.class
  (template_type name: (type_identifier) @reference.class)
  (qualified_identifier scope: (_) @receiver name: (type_identifier) @reference.class)])
(base_class_clause [
  (type_identifier) @reference.class
  (template_type name: (type_identifier) @reference.class)
  (qualified_identifier scope: (_) @receiver name: (type_identifier) @reference.class)
  (qualified_identifier scope: (_) @receiver name: (template_type name: (type_identifier) @reference.class))])

(call_expression function: (qualified_identifier scope: (_) @receiver name: (identifier) @reference.call))
(call_expression function: (qualified_identifier !scope name: (identifier) @reference.call))
(call_expression function: (qualified_identifier
  scope: (_) @receiver name: (template_function name: (identifier) @reference.call)))
(qualified_identifier name: (qualified_identifier scope: (_) @receiver name: (identifier) @reference.call))
(qualified_identifier name: (qualified_identifier
  scope: (_) @receiver name: (template_function name: (identifier) @reference.call)))
(call_expression function: (template_function name: (identifier) @reference.call))
(call_expression function: (field_expression
  argument: (_) @receiver field: (template_method name: (field_identifier) @reference.call)))
(qualified_identifier scope: (_) @receiver name: (type_identifier) @reference.type)
(qualified_identifier scope: (_) @receiver name: (template_type name: (type_identifier) @reference.type))
(using_declaration (qualified_identifier name: (identifier) @reference.import))

(qualified_identifier scope: (namespace_identifier) @reference.name)
(qualified_identifier scope: (_) @receiver name: (identifier) @reference.name)
(template_argument_list (type_descriptor type: (type_identifier) @reference.type))
