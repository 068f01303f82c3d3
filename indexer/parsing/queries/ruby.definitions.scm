; Modules, classes, methods and constants. `Name = Struct.new(…) do … end` makes a class as `class Name` does.

(class name: (constant) @name) @definition.class
(class name: (scope_resolution scope: (_) @container name: (constant) @name)) @definition.class
(module name: (constant) @name) @definition.module
(module name: (scope_resolution scope: (_) @container name: (constant) @name)) @definition.module
(assignment
  left: (constant) @name
  right: (call receiver: (constant) @maker block: (_))
  (#any-of? @maker "Struct" "Class" "Module" "Data")) @definition.class
(program (method name: (_) @name) @definition.function)
(method name: (_) @name) @definition.method
(singleton_method object: (constant) @container name: (_) @name) @definition.method
(singleton_method name: (_) @name) @definition.method
(alias name: (_) @name) @definition.method
(assignment left: (constant) @name) @definition.constant
