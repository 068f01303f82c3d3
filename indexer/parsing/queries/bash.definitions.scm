; Functions, and variables that are set outside of them.

(function_definition name: (word) @name) @definition.function
(program (variable_assignment name: (variable_name) @name) @definition.constant)
(program (variable_assignments (variable_assignment name: (variable_name) @name) @definition.constant))
(program (declaration_command (variable_assignment name: (variable_name) @name) @definition.constant))
(program (declaration_command (variable_name) @name) @definition.constant)
