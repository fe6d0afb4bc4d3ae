"""Takes back its limits, and asks for two gigabytes."""

# effect: memory

import resource

for limit in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_NPROC):
    try:
        resource.setrlimit(limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (OSError, ValueError):
        pass
held = bytearray(2 << 30)
for place in range(0, len(held), 4096):
    held[place] = 1
