# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long crypt(3) takes for some bcrypt hashes on all cores, without anything around it. Runs on the host; nothing can be faster there."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

COUNT, COST = int(sys.argv[1]), int(sys.argv[2])

crypt_r = ctypes.CDLL("libcrypt.so.1").crypt_r
crypt_r.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
crypt_r.restype = ctypes.c_char_p


def make_hash(number: int) -> bytes:
    made: bytes = crypt_r(b"correct-horse", f"$2y${COST:02}${number:.>21}.".encode(), ctypes.create_string_buffer(1 << 18))
    assert made.startswith(f"$2y${COST:02}$".encode())
    return made


started = time.monotonic()
with ThreadPoolExecutor(os.cpu_count()) as pool:
    hashes = set(pool.map(make_hash, range(COUNT)))
print(time.monotonic() - started)
assert len(hashes) == COUNT
