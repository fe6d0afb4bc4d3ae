"""What runs inside the sandbox: imported by a bare `python -I -S` and by nothing else here.

Nothing here may import what is outside of this folder, or anything that is slow to import.
"""
