; Prototypes count as well, since headers are what others read. Those within functions are taken out later, by
; their place, since `#ifndef` guards stand between the file and what it declares.

(function_definition declarator: (function_declarator declarator: (identifier) @name)) @definition.function
(function_definition declarator: (pointer_declarator
  declarator: (function_declarator declarator: (identifier) @name))) @definition.function
(function_definition declarator: (pointer_declarator declarator: (pointer_declarator
  declarator: (function_declarator declarator: (identifier) @name)))) @definition.function
(function_definition declarator: (function_declarator
  declarator: (parenthesized_declarator (identifier) @name))) @definition.function
(function_definition declarator: (pointer_declarator declarator: (function_declarator
  declarator: (parenthesized_declarator (identifier) @name)))) @definition.function
(declaration declarator: (function_declarator declarator: (identifier) @name)) @definition.prototype
(declaration declarator: (function_declarator
  declarator: (parenthesized_declarator (identifier) @name))) @definition.prototype
(declaration declarator: (pointer_declarator declarator: (function_declarator
  declarator: (parenthesized_declarator (identifier) @name)))) @definition.prototype
(declaration declarator: (pointer_declarator
  declarator: (function_declarator declarator: (identifier) @name))) @definition.prototype
(declaration declarator: (pointer_declarator declarator: (pointer_declarator
  declarator: (function_declarator declarator: (identifier) @name)))) @definition.prototype
(struct_specifier name: (type_identifier) @name body: (_)) @definition.struct
(union_specifier name: (type_identifier) @name body: (_)) @definition.struct
(enum_specifier name: (type_identifier) @name body: (_)) @definition.enum

; A struct that has its only name from a `typedef` is one by that name.
(type_definition type: (struct_specifier !name body: (_)) declarator: (type_identifier) @name) @definition.struct
(type_definition type: (union_specifier !name body: (_)) declarator: (type_identifier) @name) @definition.struct
(type_definition type: (enum_specifier !name body: (_)) declarator: (type_identifier) @name) @definition.enum

; Other names for types stand for what they name, unless that is a function or an array.
(type_definition declarator: (type_identifier) @name) @definition.type
(type_definition declarator: (pointer_declarator declarator: (type_identifier) @name)) @definition.type
(type_definition declarator: (array_declarator declarator: (type_identifier) @name)) @definition.type
(type_definition declarator: (function_declarator declarator: (type_identifier) @name)) @definition.type
(type_definition declarator: (function_declarator
  declarator: (parenthesized_declarator (pointer_declarator declarator: (type_identifier) @name)))) @definition.type
(type_definition declarator: (pointer_declarator declarator: (function_declarator
  declarator: (parenthesized_declarator (pointer_declarator declarator: (type_identifier) @name))))) @definition.type
(type_definition
  type: [(struct_specifier name: (_) @result) (union_specifier name: (_) @result) (enum_specifier name: (_) @result)]
  declarator: (type_identifier) @name)
(type_definition declarator: (array_declarator declarator: (type_identifier) @name) @result)
(type_definition declarator: (function_declarator declarator: (type_identifier) @name) @result)
(type_definition declarator: (function_declarator
  declarator: (parenthesized_declarator (pointer_declarator declarator: (type_identifier) @name))) @result)
(type_definition declarator: (pointer_declarator declarator: (function_declarator
  declarator: (parenthesized_declarator (pointer_declarator declarator: (type_identifier) @name))) @result))

(preproc_def name: (identifier) @name) @definition.macro
(preproc_function_def name: (identifier) @name) @definition.macro
(declaration declarator: (init_declarator declarator: (identifier) @name)) @definition.constant
(declaration declarator: (init_declarator
  declarator: (array_declarator declarator: (identifier) @name))) @definition.constant
(declaration declarator: (init_declarator
  declarator: (pointer_declarator declarator: (identifier) @name))) @definition.constant
(declaration declarator: (init_declarator declarator: (pointer_declarator
  declarator: (array_declarator declarator: (identifier) @name)))) @definition.constant
