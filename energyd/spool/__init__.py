"""Samples on disk until a receiver has them: files that survive any death, and a book of who has acknowledged what."""
