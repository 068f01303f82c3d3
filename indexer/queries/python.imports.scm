(import_statement) @statement
(import_from_statement) @statement
