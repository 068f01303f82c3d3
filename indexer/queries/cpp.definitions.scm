(class_specifier name: (type_identifier) @name body: (_)) @definition.class
(class_specifier name: (template_type name: (type_identifier) @name) body: (_)) @definition.class
(struct_specifier name: (template_type name: (type_identifier) @name) body: (_)) @definition.struct
(namespace_definition name: (namespace_identifier) @name body: (_)) @definition.module
(concept_definition name: (identifier) @name) @definition.type
(alias_declaration name: (type_identifier) @name) @definition.type

; Inside a class.
(function_definition declarator: (function_declarator declarator: [
  (field_identifier) (destructor_name) (operator_name)] @name)) @definition.method
(function_definition declarator: (reference_declarator
  (function_declarator declarator: [(field_identifier) (operator_name)] @name))) @definition.method
(function_definition declarator: (pointer_declarator
  declarator: (function_declarator declarator: (field_identifier) @name))) @definition.method
(function_definition declarator: (operator_cast type: (_) @name)) @definition.method
(field_declaration declarator: (function_declarator declarator: [(field_identifier) (operator_name)] @name)) @definition.method
(field_declaration declarator: (pointer_declarator
  declarator: (function_declarator declarator: (field_identifier) @name))) @definition.method
(field_declaration declarator: (reference_declarator
  (function_declarator declarator: [(field_identifier) (operator_name)] @name))) @definition.method

; Outside it: `Scope::name`, which is taken apart later.
(function_definition declarator: (function_declarator declarator: (qualified_identifier) @name)) @definition.method
(function_definition declarator: (reference_declarator
  (function_declarator declarator: (qualified_identifier) @name))) @definition.method
(function_definition declarator: (pointer_declarator
  declarator: (function_declarator declarator: (qualified_identifier) @name))) @definition.method

; References returned by free functions.
(function_definition declarator: (reference_declarator
  (function_declarator declarator: (identifier) @name))) @definition.function
