; Classes and their like, functions, methods and constants, `define`d ones too. A namespace is a file's place and no
; definition.

(class_declaration name: (name) @name) @definition.class
(trait_declaration name: (name) @name) @definition.class
(interface_declaration name: (name) @name) @definition.interface
(enum_declaration name: (name) @name) @definition.enum
(function_definition name: (name) @name) @definition.function
(method_declaration name: (name) @name) @definition.method
(const_element . (name) @name) @definition.constant
(expression_statement (function_call_expression
  function: (name) @called
  arguments: (arguments . (argument (string (string_content) @name)))
  (#eq? @called "define"))) @definition.constant
