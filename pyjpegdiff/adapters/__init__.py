"""Other frameworks' automatic differentiation around the same core: one file a framework."""
