"""A reader of baseline scans: it follows the codes to the last symbol, and knows nothing of the package."""

from typing import NamedTuple


class Scan(NamedTuple):
    """What was read of a file."""

    bits: int
    longest: int
    """Bits of the longest code in its tables."""


def read_scan(data):
    """Decode the only scan of a baseline file, which must end with ones in its last byte and the end marker."""
    at, codes, sampling, longest = 2, {}, {}, 0
    while True:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        body, at = data[at + 4 : at + 2 + length], at + 2 + length
        if marker == 0xC4:
            while body:
                codes[body[0]], used = huffman_codes(body[1:])
                longest = max(longest, *(bits for bits, _ in codes[body[0]]))
                body = body[1 + used :]
        elif marker in (0xC0, 0xC1):
            height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
            sampling = {body[i]: (body[i + 1] & 15, body[i + 1] >> 4) for i in range(6, len(body), 3)}
        elif marker == 0xDA:
            tables = {body[1 + 2 * i]: (body[2 + 2 * i] >> 4, body[2 + 2 * i] & 15) for i in range(body[0])}
            break
        else:
            assert marker not in (0xC2, 0xDD), "progressive files and restart markers are not for this reader"
    assert data[-2:] == b"\xff\xd9"
    stuffed = data[at:-2]
    assert stuffed.count(b"\xff") == stuffed.count(b"\xff\x00")
    scan = stuffed.replace(b"\xff\x00", b"\xff")
    bits = f"{int.from_bytes(scan, 'big'):0{8 * len(scan)}b}"
    if len(sampling) == 1:
        # A scan of one component has no groups.
        sampling = dict.fromkeys(sampling, (1, 1))
    high, wide = (8 * max(factors[axis] for factors in sampling.values()) for axis in (0, 1))
    used = 0
    for _ in range(-(-height // high) * -(-width // wide)):
        for component, (rows, columns) in sampling.items():
            dc, ac = tables[component]
            for _ in range(rows * columns):
                used = skip_block(bits, used, codes[dc], codes[16 + ac])
    assert len(bits) - 8 < used <= len(bits)
    assert set(bits[used:]) <= {"1"}
    return Scan(used, longest)


def huffman_codes(table):
    """Symbols by (bits, code), and how many bytes that took."""
    code, at, found = 0, 16, {}
    for bits in range(1, 17):
        for _ in range(table[bits - 1]):
            found[bits, code] = table[at]
            code, at = code + 1, at + 1
        code *= 2
    return found, at


def skip_block(bits, at, dc, ac):
    symbol, at = next_symbol(bits, at, dc)
    at, position = at + symbol, 1
    while position < 64:
        symbol, at = next_symbol(bits, at, ac)
        if symbol == 0:
            break
        at, position = at + symbol % 16, position + symbol // 16 + 1
    assert position <= 64
    return at


def next_symbol(bits, at, codes):
    code = 0
    for length in range(1, 17):
        code = 2 * code + int(bits[at + length - 1])
        if (length, code) in codes:
            return codes[length, code], at + length
    raise AssertionError(f"no code at bit {at}")
