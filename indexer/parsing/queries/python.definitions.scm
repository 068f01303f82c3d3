; Names at module level, classes and functions at any depth.

(module (expression_statement (assignment left: (identifier) @name) @definition.constant))
(module (type_alias_statement left: (type (identifier) @name)) @definition.type)
(class_definition name: (identifier) @name) @definition.class
(function_definition name: (identifier) @name) @definition.function @scope.function
(decorated_definition definition: (class_definition name: (identifier) @name) @definition.class) @outer
(decorated_definition definition: (function_definition name: (identifier) @name) @definition.function @scope.function) @outer
