"""Which configuration a tool goes by: what its caller asks for, else that of the energyd that runs, else what is configured."""

import argparse
import os

from energyd import config as configuration
from energyd import configfile, places, rundir
from energyd.config import Config
from energyd.errors import EnergydError


def current(arguments: argparse.Namespace) -> Config:
    """ConfigError if neither can be had; with a running simulation, its roots, so that a tool and the daemon see one machine."""
    environ, uid = os.environ, os.getuid()
    if arguments.config or any(name != "run_dir" for name, _ in arguments.set):
        return configfile.load(arguments.config, environ, arguments.set)
    try:
        return configuration.read(rundir.config_file(places.running(arguments.config, arguments.set, environ, uid)))
    except EnergydError:
        return configfile.load(arguments.config, environ, arguments.set)
