(import_spec) @statement
