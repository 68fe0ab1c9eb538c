"""Errors by whose fault they are, and the exit code that tells a supervisor what to do about it."""

EXIT_OK = 0
EXIT_CONFIGURATION = 100
"""Permanent: a restart cannot mend it, a supervisor leaves the process down (s6's convention)."""
EXIT_ENVIRONMENT = 111
"""Temporary: port in use, no memory, disk full; a supervisor tries again later."""


class EnergydError(Exception):
    """A message for the user that says what is wrong, where, and what to do; `exit_code` says to whom it belongs."""

    exit_code = EXIT_ENVIRONMENT


class ConfigError(EnergydError):
    """The configuration is wrong: file, line and key are in the message."""

    exit_code = EXIT_CONFIGURATION


class EnvironmentFault(EnergydError):
    """The machine cannot do it now: a port in use, a full disk, a lock held by another process."""

    exit_code = EXIT_ENVIRONMENT
