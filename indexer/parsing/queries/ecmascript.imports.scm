(import_statement) @statement
(export_statement source: (_)) @statement
(call_expression function: (identifier) arguments: (arguments . (string))) @statement
(call_expression function: (import) arguments: (arguments . (string))) @statement

; What a file hands on of its own.
(export_statement !source (export_clause)) @statement
(export_statement !source "default") @statement
(assignment_expression left: (member_expression) @_left (#match? @_left "^(module[.])?exports([.][A-Za-z0-9_$]+)?$")) @statement
