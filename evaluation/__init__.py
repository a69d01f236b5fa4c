"""How near results and gradients come to the real codec; some modules print a table, some write into ``results``."""
