"""The format of JPEG files, ITU-T T.81: headers, and scans as they are read and written."""
