; Types, functions, and what is constant: values at the top, `const` ones, and those of an object. A property with a
; getter or setter of its own runs code and counts as a method. What a nameless companion holds belongs to its class, an
; extension to the type that it extends.

(class_declaration "interface" name: (identifier) @name) @definition.interface
(class_declaration name: (identifier) @name (enum_class_body)) @definition.enum
(class_declaration "class" name: (identifier) @name) @definition.class
(object_declaration name: (identifier) @name) @definition.class
(companion_object name: (identifier) @name) @definition.class
(type_alias type: (identifier) @name) @definition.type
(source_file (function_declaration
  (user_type . (identifier) @container) . name: (identifier) @name) @definition.method)
(function_declaration name: (identifier) @name) @definition.function
(secondary_constructor "constructor" @name) @definition.method
(property_declaration (variable_declaration (identifier) @name) (getter)) @definition.function
(property_declaration (variable_declaration (identifier) @name) (setter)) @definition.function
(source_file (property_declaration (variable_declaration (identifier) @name)) @definition.constant)
(class_body (property_declaration
  (modifiers (property_modifier))
  (variable_declaration (identifier) @name)) @definition.constant)
(object_declaration (class_body (property_declaration
  "val" (variable_declaration (identifier) @name)) @definition.constant))
(companion_object (class_body (property_declaration
  "val" (variable_declaration (identifier) @name)) @definition.constant))
