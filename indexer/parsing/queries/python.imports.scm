(import_statement) @statement
(import_from_statement) @statement
(module (expression_statement [(assignment left: (identifier) @_all) (augmented_assignment left: (identifier) @_all)] @statement)
  (#eq? @_all "__all__"))
