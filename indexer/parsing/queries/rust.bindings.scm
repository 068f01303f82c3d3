; Parameters, variables and fields with their types, and whatever patterns bind. In a pattern a name that begins with a
; capital letter is a constant or variant and binds nothing.

(parameter pattern: (identifier) @hoisted type: (_) @type)
(closure_parameters (identifier) @hoisted)
(let_declaration pattern: (identifier) @local type: (_) @type)
(let_declaration pattern: (identifier) @local value: (_) @value)
(let_declaration pattern: (identifier) @local)
(for_expression pattern: (identifier) @local)
(field_declaration name: (field_identifier) @field type: (_) @type)

(let_condition
  pattern: (tuple_struct_pattern type: (identifier) @way . (identifier) @local .)
  value: (_) @value
  (#any-of? @way "Some" "Ok"))
(let_declaration
  pattern: (tuple_struct_pattern type: (identifier) @way . (identifier) @local .)
  value: (_) @value
  (#any-of? @way "Some" "Ok"))
(match_expression
  value: (_) @value
  body: (match_block (match_arm pattern: (match_pattern
    (tuple_struct_pattern type: (identifier) @way . (identifier) @local .))))
  (#any-of? @way "Some" "Ok"))

(tuple_struct_pattern type: (_) (identifier) @local (#not-match? @local "^[A-Z]"))
(tuple_pattern (identifier) @local (#not-match? @local "^[A-Z]"))
(slice_pattern (identifier) @local (#not-match? @local "^[A-Z]"))
(or_pattern (identifier) @local (#not-match? @local "^[A-Z]"))
(match_pattern (identifier) @local (#not-match? @local "^[A-Z]"))
(reference_pattern (identifier) @local)
(ref_pattern (identifier) @local)
(mut_pattern (identifier) @local)
(captured_pattern . (identifier) @local)
(field_pattern name: (shorthand_field_identifier) @local)
(field_pattern pattern: (identifier) @local (#not-match? @local "^[A-Z]"))

(closure_expression) @scope.arrow
(block) @scope.block
(match_arm) @scope.block
(if_expression) @scope.block
(while_expression) @scope.block
(for_expression) @scope.block
