; What is called, and tables and constants that are used.

(function_call name: (identifier) @reference.call)
(function_call name: (dot_index_expression field: (identifier) @reference.call))
(function_call name: (method_index_expression method: (identifier) @reference.call))
(dot_index_expression table: (identifier) @reference.name)
(dot_index_expression field: (identifier) @reference.name)
(method_index_expression table: (identifier) @reference.name)
(arguments (identifier) @reference.name)
(binary_expression (identifier) @reference.name)
(expression_list (identifier) @reference.name)
(field value: (identifier) @reference.name)
