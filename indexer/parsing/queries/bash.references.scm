; Every command, since a function is called like any other program, and variables.

(command name: (command_name (word) @reference.call))
(simple_expansion (variable_name) @reference.name)
(expansion (variable_name) @reference.name)
(subscript name: (variable_name) @reference.name)
