"""What many tests take: the modes of a call."""

MODES = [{"ste": False}, {"ste": True}, {"arithmetic": "libjpeg"}]
