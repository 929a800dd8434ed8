"""What a compressed reply may be made of: bounds on the work of unpacking one."""

from typing import Final

MEMBERS_MAX: Final = 1_024
"""Members of a gzip file, or frames of Zstandard, in one reply. A server that compresses writes one; one that joins
files, or blocks of 64 KiB as bgzip does, no more than a few hundred in the largest reply. An empty member takes twenty
bytes, so the largest reply has room for 800,000 of them, and each costs as much as a small reply."""
PIECE_BYTES: Final = 16 * 1024
"""Given to the library at a time. What a member leaves unused of its last piece is copied, so this bounds that, too."""
