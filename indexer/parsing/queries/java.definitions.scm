(class_declaration name: (identifier) @name) @definition.class
(record_declaration name: (identifier) @name) @definition.class
(interface_declaration name: (identifier) @name) @definition.interface
(annotation_type_declaration name: (identifier) @name) @definition.interface
(enum_declaration name: (identifier) @name) @definition.enum
(method_declaration name: (identifier) @name) @definition.method @scope.function
(constructor_declaration name: (identifier) @name) @definition.method @scope.function
(compact_constructor_declaration name: (identifier) @name) @definition.method @scope.function
(field_declaration
  (modifiers "static" "final")
  declarator: (variable_declarator name: (identifier) @name)) @definition.constant
(interface_body (constant_declaration
  declarator: (variable_declarator name: (identifier) @name)) @definition.constant)
