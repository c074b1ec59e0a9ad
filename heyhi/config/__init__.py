"""What a config is: schema, values, overrides, includes, composition, identity, and how users read it."""
