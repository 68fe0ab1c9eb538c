"""Samples on disk until a receiver has them: files that survive any death, and a book of who has acknowledged what."""

from typing import Final

SPOOL_DIR: Final = "spool"
"""In the state directory: one directory for each receiver."""
