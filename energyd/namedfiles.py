"""The files of secrets and certificates that a configuration names: whether they are there, and may be read.

A running energyd reads them anew when they change, and tries again while one is missing; so this is asked when somebody checks a
configuration. Law: nothing is read of them.
"""

import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from energyd.config import Config

_OF_A_RECEIVER = ("password_file", "bearer_token_file", "tls_ca_file", "tls_cert_file", "tls_key_file")


class Faults(NamedTuple):
    """Sentences: `missing` are mistakes whoever asks, `unreadable` depends on who does."""

    missing: tuple[str, ...]
    unreadable: tuple[str, ...]


def faults(config: Config) -> Faults:
    """What is wrong with the files that `config` names."""
    missing, unreadable = [], []
    for key, path in _named(config):
        try:
            directory = stat.S_ISDIR(os.stat(path).st_mode)
        except PermissionError:
            unreadable.append(f"{key}: {path}: may not be looked at by this user; the user of energyd has to be able to read it")
        except OSError as error:
            missing.append(f"{key}: {path}: {error.strerror}; make the file, or correct the path")
        else:
            if directory:
                missing.append(f"{key}: {path}: is a directory; name the file")
            elif not os.access(path, os.R_OK):
                unreadable.append(f"{key}: {path}: may not be read by this user; the user of energyd has to be able to")
    return Faults(tuple(missing), tuple(unreadable))


def _named(config: Config) -> Iterator[tuple[str, str]]:
    if config.metrics.bearer_token_file is not None:
        yield "metrics.bearer_token_file", config.metrics.bearer_token_file
    for target in config.metrics.push:
        for key in _OF_A_RECEIVER:
            if (path := getattr(target, key)) is not None:
                yield f"metrics.push {target.name}: {key}", path
