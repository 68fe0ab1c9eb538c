"""The texts that settings hold: devices, addresses, paths, names. Each check returns the text to keep or raises ValueError.

Outside truths: label names (prometheus.io/docs/concepts/data_model), host names (RFC 1123 2.1), field names of HTTP (RFC 9110 5.1),
the URLs of pyserial (pyserial.readthedocs.io, URL handlers), the 14 digits of a point de livraison (Enedis).
"""

import datetime
import ipaddress
import re
import zoneinfo
from urllib.parse import SplitResult, urlsplit

from energyd.expressions import expression

NAME_PATTERN = "^[a-z0-9_-]{1,32}$"
PDL_PATTERN = "^[0-9]{14}$"
DATE_PATTERN = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
LABEL_PATTERN = "^[A-Za-z_][A-Za-z0-9_]*$"
FAMILY_NAME_PATTERN = r"^([A-Za-z0-9_]|\$[0-9]|\$\{[A-Za-z0-9_]+\})+$"
HEADER_PATTERN = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
PATH_PATTERN = "^/"
METRICS_PATH_PATTERN = "^/[A-Za-z0-9._~/-]*$"
URL_PATTERN = "^https?://"
PROXY_PATTERN = "^http://"
DEVICE_PATTERN = "^(/|file:/|socket://|rfc2217://)"

# fmt: off
OWN_LABELS = frozenset((
    "address", "cgroup", "cmdline", "comm", "contract", "day", "direction", "domain", "endpoint", "environment", "field",
    "fraction", "group", "handler", "kind", "policy", "runtime",
    "host", "le", "meter", "method", "mode", "month", "part", "pdl", "period", "phase", "pid", "point", "power", "prm",
    "quadrant", "quantile", "reason", "register", "result", "ring", "source", "status", "target", "tariff", "tomorrow", "uid",
    "version", "window", "year", "zone",
    "colour", "data", "edge", "flag", "label", "origin", "peak", "profile", "relay", "state", "switch", "worker",
    "container", "cpu", "device", "id", "minutes",
))
# fmt: on
"""Labels that our own series carry; a constant label of that name would make two labels of one name in a series."""

_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\.?")
_OWN_HEADERS = ("content-type", "content-encoding", "content-length", "host", "transfer-encoding")


def name(text: str) -> str:
    """A name that becomes a file name and a label value."""
    return _matching(NAME_PATTERN, text, "1 to 32 of a-z, 0-9, _ and -")


def pdl(text: str) -> str:
    return _matching(PDL_PATTERN, text, "14 digits")


def date(text: str) -> str:
    """A day that the calendar has."""
    _matching(DATE_PATTERN, text, "a date, YYYY-MM-DD")
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"must be a day that the calendar has, not {text!r}") from None
    return text


def absolute_path(text: str) -> str:
    if not text.startswith("/") or not text.isprintable():
        raise ValueError(f"must be an absolute path, not {text!r}")
    return text.rstrip("/") or "/"


def metrics_path(text: str) -> str:
    _matching(METRICS_PATH_PATTERN, text, "a path such as /metrics")
    if text in ("/", "/api/v1/snapshot") or text.startswith("/-/"):
        raise ValueError("must not be /, /api/v1/snapshot or below /-/, where other pages are")
    return text


def host(text: str) -> str:
    """An address or a host name, without brackets."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    if _HOST.fullmatch(text) and not re.fullmatch(r"[0-9.]+", text):
        return text
    raise ValueError(f"must be an address such as 127.0.0.1, 0.0.0.0 or ::1, or a host name, not {text!r}")


def device(text: str) -> str:
    """Where a meter is heard: a tty, socket://host:port, rfc2217://host:port or file:PATH."""
    if text.startswith("file:"):
        return "file:" + absolute_path(text.removeprefix("file:"))
    if text.startswith("/"):
        return absolute_path(text)
    scheme = text.partition("://")[0]
    if scheme == "tcp":
        raise ValueError(f"must be a device; write socket://{text.removeprefix('tcp://')}")
    if scheme not in ("socket", "rfc2217") or "://" not in text:
        raise ValueError(f"must be a tty such as /dev/ttyUSB0, socket://host:port, rfc2217://host:port or file:/PATH, not {text!r}")
    parts = _split(text)
    if parts.username is not None or parts.path or parts.query or parts.fragment or not parts.hostname or not _port(parts):
        raise ValueError(f"must be {scheme}://host:port, not {text!r}")
    host(parts.hostname)
    return text


def url(text: str) -> str:
    """A receiver; the text is never quoted, because people put secrets into URLs."""
    parts = _split(text)
    if parts.scheme not in ("http", "https"):
        raise ValueError("must be a URL that begins with http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user name or password; give them in username and password_file")
    if not parts.hostname or not text.isprintable() or " " in text or parts.fragment or _port(parts) == 0:
        raise ValueError("must be a URL such as http://victoriametrics:8428/api/v1/import/prometheus")
    try:
        host(parts.hostname)
    except ValueError:
        raise ValueError("must name a host that can exist") from None
    return text


def proxy(text: str) -> str:
    """An HTTP proxy, with credentials where it wants them; never quoted either."""
    parts = _split(text)
    if parts.scheme != "http" or not parts.hostname or _port(parts) == 0 or not text.isprintable() or " " in text:
        raise ValueError("must be a URL such as http://proxy:3128")
    return text


def timezone(text: str) -> str:
    try:
        zoneinfo.ZoneInfo(text)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):  # no name at all, a directory of zones, an unknown zone
        raise ValueError(_unknown_zone(text)) from None
    return text


def label_name(text: str) -> str:
    _matching(LABEL_PATTERN, text, "a label name: letters, digits and _, not beginning with a digit")
    if text.startswith("__"):
        raise ValueError("label names that begin with __ belong to Prometheus; choose another")
    if text in OWN_LABELS:
        raise ValueError("energyd's own series carry a label of that name; choose another")
    return text


def family_name(text: str) -> str:
    return _matching(FAMILY_NAME_PATTERN, text, "a name of letters, digits and _, in which $1 or ${1} stands for a group")


def header_name(text: str) -> str:
    _matching(HEADER_PATTERN, text, "the name of an HTTP header")
    if text.lower() in _OWN_HEADERS:
        raise ValueError("energyd sets this header itself")
    return text


def header_value(text: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?", text):
        raise ValueError("must be printable ASCII without spaces at its ends")
    return text


def regular_expression(text: str) -> str:
    try:
        expression(text)
    except ValueError as error:
        raise ValueError(f"must be a regular expression: {error}") from None
    return text


def one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be one line of printable characters")
    return text


def anything(text: str) -> str:
    return text


def _matching(pattern: str, text: str, words: str) -> str:
    if not re.fullmatch(pattern, text):
        raise ValueError(f"must be {words}, not {text!r}" if len(text) <= 60 else f"must be {words}")
    return text


def _split(text: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError:
        raise ValueError("must be a URL") from None


def _port(parts: SplitResult) -> int | None:
    """The port, None without one, 0 if it is impossible."""
    try:
        return parts.port
    except ValueError:
        return 0


def _unknown_zone(text: str) -> str:
    if not zoneinfo.available_timezones():
        return "this machine has no time zone database; install tzdata"
    return f"must be a name of the time zone database such as Europe/Paris, not {text!r}"
