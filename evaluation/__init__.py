"""How good gradients are, measured against the real codec. Each module writes a JSON file into ``results``."""
