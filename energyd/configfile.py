"""The front door of the configuration: flags over environment over file over defaults, and `energyd check-config`.

Law: `load` returns a Config or raises ConfigError with one line that says where, which key, what is wrong and what to do. No worker
imports this module (it brings YAML); they read the config.json that `write` leaves.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from energyd import address, namedfiles
from energyd.config import Config
from energyd.configbuild import Loaded, build
from energyd.configtree import Node, parse_file, parse_value
from energyd.environment import overlay, own_variables, put_setting
from energyd.errors import EXIT_OK, ConfigError, EnergydError, EnvironmentFault
from energyd.service.files import write_atomically

__all__ = ["add_flags", "check_config_main", "load", "load_with_warnings", "main", "masked", "own_variables", "parser", "write"]

DEFAULT_PATH = "/etc/energyd/energyd.yml"
CONFIG_JSON = "config.json"
MASK = "***"


def load(path: str | None, environ: Mapping[str, str], overrides: Sequence[tuple[str, str]] = ()) -> Config:
    """The configuration; ConfigError if anything in it is wrong.

    `path` None: DEFAULT_PATH where it exists, else no file. `overrides`: (key, text) as `add_flags` collects them.
    """
    return load_with_warnings(path, environ, overrides).config


def load_with_warnings(path: str | None, environ: Mapping[str, str], overrides: Sequence[tuple[str, str]] = ()) -> Loaded:
    """`load`, and what its author should know."""
    tree = Node("defaults", None)
    if path is not None or os.path.exists(DEFAULT_PATH):
        tree = parse_file(path if path is not None else DEFAULT_PATH)
        if not isinstance(tree.value, dict | None):
            raise ConfigError(f"{tree.where}: must be a mapping of sections such as 'metrics:', not a list or a single value")
    tree, warnings = overlay(tree, environ)
    for key, text in overrides:
        tree = put_setting(tree, key, parse_value(text, "--set"))
    loaded = build(tree, os.path.realpath)
    return loaded._replace(warnings=(*warnings, *loaded.warnings))


def add_flags(parser: argparse.ArgumentParser) -> None:
    """`--config FILE`, and `--set section.key=value` as often as wanted; its pairs arrive in `arguments.set`."""
    parser.add_argument("--config", metavar="FILE", help=f"the configuration (default: {DEFAULT_PATH} if it exists)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=_override,
        metavar="SECTION.KEY=VALUE",
        help="set a key of energyd.yml(5), over environment and file; lists and mappings in JSON",
    )


def _override(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError("must be SECTION.KEY=VALUE, for example metrics.port=9836")
    return key, value


def masked(config: Config) -> Config:
    """The same without secrets, fit to be shown."""
    targets = tuple(
        target._replace(
            url=target.url.partition("?")[0] + ("?" + MASK if "?" in target.url else ""),
            password=None if target.password is None else MASK,
            bearer_token=None if target.bearer_token is None else MASK,
            proxy=None if target.proxy is None else target.proxy.rpartition("@")[2],
            headers=tuple((name, MASK) for name, _ in target.headers),
        )
        for target in config.metrics.push
    )
    return config._replace(metrics=config.metrics._replace(push=targets))


def write(config: Config) -> str:
    """run_dir/config.json, mode 0640 (it holds secrets), replaced at once; returns its path, EnvironmentFault if it cannot."""
    path = Path(config.run_dir, CONFIG_JSON)
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        write_atomically(str(path), config.to_json() + "\n", 0o640)
    except OSError as error:
        raise EnvironmentFault(
            f"{path}: {error.strerror}; run as the user of energyd, or set run_dir to a directory you may write"
        ) from error
    return str(path)


def require_outlets(config: Config) -> None:
    """ConfigError for what would end the aggregator: a web configuration file that cannot be used, patterns that fit no family."""
    metrics = config.metrics
    if metrics.enabled:
        address.url(config)
    if metrics.families or metrics.rename:
        from energyd.export.document import all_metrics  # the families of all exporters: only who names some pays for them
        from energyd.export.selection import Selection

        Selection(metrics.families, metrics.rename).check(all_metrics(config.compatibility))


def parser() -> argparse.ArgumentParser:
    """The options of `energyd check-config`."""
    result = argparse.ArgumentParser(prog="energyd check-config", description="Check the configuration and say what it amounts to.")
    add_flags(result)
    result.add_argument("--write", action="store_true", help=f"write run_dir/{CONFIG_JSON}, which the workers read")
    result.add_argument("--json", action="store_true", help="print the whole configuration as JSON, secrets masked")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """`energyd check-config`: says what the configuration amounts to, or what is wrong with it; returns the exit code."""
    arguments = parser().parse_args(argv)
    try:
        loaded = load_with_warnings(arguments.config, os.environ, arguments.set)
        require_outlets(loaded.config)
        summary = _summary(loaded.config)
        files = namedfiles.faults(loaded.config)
        if files.missing:
            raise ConfigError("; ".join(files.missing))
        written = write(loaded.config) if arguments.write else None
    except EnergydError as error:
        print(f"energyd: {error}", file=sys.stderr)
        return error.exit_code
    warnings = (*loaded.warnings, *files.unreadable)
    for warning in warnings:
        print(f"energyd: warning: {warning}", file=sys.stderr)
    if arguments.json:
        print(json.dumps({"config": json.loads(masked(loaded.config).to_json()), "warnings": list(warnings)}, indent=1))
        return EXIT_OK
    source = arguments.config or (DEFAULT_PATH if os.path.exists(DEFAULT_PATH) else "no file, defaults")
    print(f"OK {source}")
    for line in summary:
        print(f"OK {line}")
    if written is not None:
        print(f"OK wrote {written}")
    return EXIT_OK


check_config_main = main


def _summary(config: Config) -> list[str]:
    lines = [f"metrics: {address.url(config)}" if config.metrics.enabled else "metrics: not served"]
    lines += [f"push {target.name}: {target.url} every {target.interval_s:g} s" for target in masked(config).metrics.push]
    lines += [f"meter {meter.name}: {meter.device} ({meter.mode})" for meter in config.meters]
    return lines if config.meters else [*lines, "meters: none"]
