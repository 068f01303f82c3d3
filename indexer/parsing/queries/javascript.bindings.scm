; Parameters, and fields of classes.

(formal_parameters (identifier) @local)
(formal_parameters [(object_pattern) (array_pattern)] @unpacked.local)

(field_definition property: [(property_identifier) (private_property_identifier)] @field value: (_) @value)
(field_definition value: (object) @scope.unknown)
