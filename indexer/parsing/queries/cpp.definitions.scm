(class_specifier name: (type_identifier) @name body: (_)) @definition.class
(class_specifier name: (template_type name: (type_identifier) @name) body: (_)) @definition.class
(struct_specifier name: (template_type name: (type_identifier) @name) body: (_)) @definition.struct
(class_specifier name: (qualified_identifier) @name body: (_)) @definition.class
(struct_specifier name: (qualified_identifier) @name body: (_)) @definition.struct
(namespace_definition name: [(namespace_identifier) (nested_namespace_specifier)] @name body: (_)) @definition.module
(concept_definition name: (identifier) @name) @definition.type
(alias_declaration name: (type_identifier) @name) @definition.type

; `class EXPORT_MACRO Name {…}`, which the grammar takes for a function.
(function_definition type: (class_specifier !body) declarator: (identifier) @name) @definition.class
(function_definition type: (struct_specifier !body) declarator: (identifier) @name) @definition.struct

; Inside a class.
(function_definition declarator: (function_declarator declarator: [
  (field_identifier) (destructor_name) (operator_name)] @name)) @definition.method
(function_definition declarator: (reference_declarator
  (function_declarator declarator: [(field_identifier) (operator_name)] @name))) @definition.method
(function_definition declarator: (pointer_declarator
  declarator: (function_declarator declarator: [(field_identifier) (operator_name)] @name))) @definition.method
(function_definition declarator: (operator_cast type: (_) @name)) @definition.method
(field_declaration declarator: (function_declarator
  declarator: [(field_identifier) (operator_name)] @name)) @definition.method
(field_declaration declarator: (pointer_declarator
  declarator: (function_declarator declarator: [(field_identifier) (operator_name)] @name))) @definition.method
(field_declaration declarator: (reference_declarator
  (function_declarator declarator: [(field_identifier) (operator_name)] @name))) @definition.method
(function_definition declarator: (pointer_declarator declarator: (pointer_declarator
  declarator: (function_declarator declarator: (field_identifier) @name)))) @definition.method
(field_declaration declarator: (pointer_declarator declarator: (pointer_declarator
  declarator: (function_declarator declarator: (field_identifier) @name)))) @definition.method
(declaration declarator: (function_declarator declarator: (destructor_name) @name)) @definition.method
(declaration declarator: (reference_declarator
  (function_declarator declarator: (identifier) @name))) @definition.prototype

; Outside it: `Scope::name`, which is taken apart later.
(function_definition declarator: (function_declarator declarator: (qualified_identifier) @name)) @definition.method
(function_definition declarator: (reference_declarator
  (function_declarator declarator: (qualified_identifier) @name))) @definition.method
(function_definition declarator: (pointer_declarator
  declarator: (function_declarator declarator: (qualified_identifier) @name))) @definition.method
(function_definition declarator: (pointer_declarator declarator: (pointer_declarator
  declarator: (function_declarator declarator: (qualified_identifier) @name)))) @definition.method
(function_definition declarator: (qualified_identifier name: (operator_cast type: (_)))  @name) @definition.method

; References returned by free functions, and operators that are such.
(function_definition declarator: (reference_declarator
  (function_declarator declarator: (identifier) @name))) @definition.function

; `auto f() -> T`
(function_definition declarator: (function_declarator
  declarator: [(identifier) (field_identifier)] @name
  (trailing_return_type (type_descriptor) @result)))
(field_declaration declarator: (function_declarator
  declarator: (field_identifier) @name
  (trailing_return_type (type_descriptor) @result)))
