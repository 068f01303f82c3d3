(use_declaration) @statement
(extern_crate_declaration) @statement
(mod_item !body) @statement
