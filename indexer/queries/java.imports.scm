(import_declaration) @statement
