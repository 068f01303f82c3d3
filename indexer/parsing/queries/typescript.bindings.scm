; What TypeScript adds: types of variables, parameters and fields.

(variable_declarator name: (identifier) @local type: (type_annotation) @type)
(required_parameter pattern: (identifier) @local type: (type_annotation) @type)
(required_parameter pattern: (identifier) @local !type)
(optional_parameter pattern: (identifier) @local type: (type_annotation) @type)
(optional_parameter pattern: (identifier) @local !type)
(required_parameter pattern: [(object_pattern) (array_pattern)] @unpacked.local)
(required_parameter (accessibility_modifier) pattern: (identifier) @field type: (type_annotation) @type)
(required_parameter "readonly" pattern: (identifier) @field type: (type_annotation) @type)
(optional_parameter (accessibility_modifier) pattern: (identifier) @field type: (type_annotation) @type)
(optional_parameter "readonly" pattern: (identifier) @field type: (type_annotation) @type)
(import_alias . (identifier) @local (_) @value)

(public_field_definition
  name: [(property_identifier) (private_property_identifier)] @field type: (type_annotation) @type)
(public_field_definition
  name: [(property_identifier) (private_property_identifier)] @field value: (_) @value !type)
(public_field_definition value: (object) @scope.unknown)
(interface_body (property_signature name: (property_identifier) @field type: (type_annotation) @type))
