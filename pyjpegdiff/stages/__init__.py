"""The stages: one file each, with its formula, its forward and its VJP side by side."""
