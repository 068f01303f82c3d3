; What is called, named as a type or imported, with the path or value before it.

(call_expression function: (identifier) @reference.call)
(call_expression function: (field_expression value: (_) @receiver field: (field_identifier) @reference.call))
(call_expression function: (scoped_identifier path: (_) @receiver name: (identifier) @reference.call))
(call_expression function: (generic_function function: (identifier) @reference.call))
(call_expression function: (generic_function
  function: (field_expression value: (_) @receiver field: (field_identifier) @reference.call)))
(call_expression function: (generic_function
  function: (scoped_identifier path: (_) @receiver name: (identifier) @reference.call)))
(macro_invocation macro: (identifier) @reference.call)
(macro_invocation macro: (scoped_identifier path: (_) @receiver name: (identifier) @reference.call))
(use_declaration argument: (scoped_identifier name: (identifier) @reference.import))
(use_list (identifier) @reference.import)
(use_list (scoped_identifier name: (identifier) @reference.import))
(use_as_clause path: (scoped_identifier name: (identifier) @reference.import))
(use_as_clause path: (identifier) @reference.import)
(struct_expression name: [
  (type_identifier) @reference.class
  (generic_type type: (type_identifier) @reference.class)
  (scoped_type_identifier path: (_) @receiver name: (type_identifier) @reference.class)])
(impl_item trait: [
  (type_identifier) @reference.class
  (generic_type type: (type_identifier) @reference.class)
  (scoped_type_identifier path: (_) @receiver name: (type_identifier) @reference.class)])
(type_identifier) @reference.type
(scoped_type_identifier path: (_) @receiver name: (type_identifier) @reference.type)

; Types before `::`, what stands behind it, and values.
(scoped_identifier path: (identifier) @reference.name)
(scoped_identifier path: (_) @receiver name: (identifier) @reference.name)
(tuple_struct_pattern type: (identifier) @reference.name)
(arguments (identifier) @reference.value)
(binary_expression (identifier) @reference.value)
(reference_expression value: (identifier) @reference.value)
(field_initializer value: (identifier) @reference.value)
(let_declaration value: (identifier) @reference.value)
(match_pattern (identifier) @reference.name)

; Within a macro there are only tokens: what is called can be told, what stands before a dot cannot.
(token_tree (identifier) @reference.call . (token_tree . "("))
(token_tree "." @receiver . (identifier) @reference.call . (token_tree . "("))
(token_tree (identifier) @receiver . "::" . (identifier) @reference.call . (token_tree . "("))
(token_tree (identifier) @reference.name)
