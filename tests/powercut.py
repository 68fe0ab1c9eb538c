"""A disk of which a power cut leaves what was forced to it: fdatasync(2) for a file, fsync(2) of its directory for its name."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple


class Image(NamedTuple):
    """What is on the disk: the entries of each directory by inode, and the size of each file."""

    entries: dict[int, dict[str, int]]
    sizes: dict[int, int]


class Disk:
    """Watches what is forced below `root`. Its files only grow, as a spool's do; `attic` is beside it on the same file system."""

    def __init__(self, root: Path, attic: Path, monkeypatch: Any) -> None:
        self.root, self._attic = root, attic
        for place in (root, attic):
            place.mkdir(exist_ok=True)
        self._directories: set[int] = set()
        self._image = Image({}, {})
        for name in ("fsync", "fdatasync"):
            monkeypatch.setattr(os, name, self._watched(getattr(os, name)))

    def _watched(self, really: Callable[[int], None]) -> Callable[[int], None]:
        def force(descriptor: int) -> None:
            really(descriptor)
            path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            status = os.fstat(descriptor)
            if path.is_dir():
                self._image.entries[status.st_ino] = {entry.name: self._keep(Path(entry)) for entry in os.scandir(path)}
            else:
                self._image.sizes[status.st_ino] = status.st_size

        return force

    def _keep(self, path: Path) -> int:
        """Link a file into the attic, so that it is there although its name is removed; returns its inode."""
        inode = path.stat().st_ino
        if path.is_dir():
            self._directories.add(inode)
        elif not (self._attic / str(inode)).exists():
            os.link(path, self._attic / str(inode))
        return inode

    def image(self) -> Image:
        """What a cut would leave now."""
        return Image({inode: dict(names) for inode, names in self._image.entries.items()}, dict(self._image.sizes))

    def every_file(self, image: Image, copies: Path) -> Iterator[Path]:
        """A copy of what was ever forced of each file whose name was."""
        copies.mkdir(exist_ok=True)
        for path in self._attic.iterdir():
            copy = copies / path.name
            shutil.copyfile(path, copy)
            os.truncate(copy, image.sizes.get(int(path.name), 0))
            yield copy

    def restore(self, image: Image, survived: float = 0.0, zeros: bool = False) -> None:
        """Put the files below the root back to `image`; of what was written and not forced a share has `survived`, as written or
        as `zeros` (a file system may have noted the size before the contents)."""
        self._restore(self.root, image, survived, zeros)
        self._image = image

    def _restore(self, directory: Path, image: Image, survived: float, zeros: bool) -> None:
        names = image.entries.get(directory.stat().st_ino, {})
        for path in list(directory.iterdir()):
            if path.is_dir() and path.name in names:
                self._restore(path, image, survived, zeros)
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        for name, inode in names.items():
            if inode not in self._directories:
                content = (self._attic / str(inode)).read_bytes()
                forced = image.sizes.get(inode, 0)
                size = forced + round(survived * (len(content) - forced))
                (directory / name).write_bytes(content[:forced] + bytes(size - forced) if zeros else content[:size])
