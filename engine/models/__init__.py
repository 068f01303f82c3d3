"""The models as data, and the choice among them for a machine."""
