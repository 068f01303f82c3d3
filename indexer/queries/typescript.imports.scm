(export_statement "=") @statement
