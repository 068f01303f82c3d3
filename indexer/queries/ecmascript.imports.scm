(import_statement) @statement
(export_statement source: (_)) @statement
(call_expression function: (identifier) arguments: (arguments . (string))) @statement
(call_expression function: (import) arguments: (arguments . (string))) @statement
