"""Texts that others have chosen, fit to be shown. Imports nothing.

A process may call itself anything, also `ESC [2J`; the terminal of whoever asks about it must not obey.
"""


def plain(text: str) -> str:
    """The text with a question mark for each character that does not print."""
    return "".join(character if character.isprintable() else "?" for character in text)
