"""Files of the buffer, written and read from the words of the request alone: struct and zlib, nothing of ours.

    interoperability.py write FOLDER    writes the files that `expected()` describes
    interoperability.py read FOLDER     prints what is in the folder as JSON: [[name, [payload, …]], …] in order
"""

import json
import os
import re
import struct
import sys
import zlib


def expected():
    return {
        "0-events": [b'{"event":"first"}', '{"name":"Łódź ☃"}'.encode()],
        "2-events": [bytes([byte]) for byte in range(256)],
        "10-events": [b"x" * size for size in (1, 7, 8, 9, 255, 256, 65535, 65536, 70000)],
        "11-events": [],
    }


def write(folder):
    for name, payloads in expected().items():
        with open(os.path.join(folder, name), "wb") as file:
            for payload in payloads:
                file.write(struct.pack("<I", len(payload)))
                file.write(struct.pack("<I", zlib.crc32(payload) & 0xFFFFFFFF))
                file.write(payload)


def payloads_of(path):
    with open(path, "rb") as file:
        content = file.read()
    found, at = [], 0
    while len(content) - at >= 8:
        length, checksum = struct.unpack_from("<II", content, at)
        if length == 0 or len(content) - at - 8 < length:
            break
        payload = content[at + 8 : at + 8 + length]
        if zlib.crc32(payload) & 0xFFFFFFFF != checksum:
            break
        found.append(payload)
        at += 8 + length
    return found


def read(folder):
    names = [name for name in os.listdir(folder) if re.fullmatch(r"(0|[1-9][0-9]*)-events", name)]
    names.sort(key=lambda name: int(name.split("-")[0]))
    files = [[name, [payload.hex() for payload in payloads_of(os.path.join(folder, name))]] for name in names]
    json.dump(files, sys.stdout)


if __name__ == "__main__":
    {"write": write, "read": read}[sys.argv[1]](sys.argv[2])
