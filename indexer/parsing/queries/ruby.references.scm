; What is called (a local variable and a call without arguments look alike, so bare names do not count) and every
; constant, which classes and modules are too.

(call method: (identifier) @reference.call)
(call method: (constant) @reference.call)
(call receiver: (constant) @reference.class method: (identifier) @made (#eq? @made "new"))
(call
  receiver: (scope_resolution name: (constant) @reference.class)
  method: (identifier) @made (#eq? @made "new"))
(superclass (constant) @reference.class)
(superclass (scope_resolution name: (constant) @reference.class))
(constant) @reference.name
