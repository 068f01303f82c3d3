(preproc_include) @statement
