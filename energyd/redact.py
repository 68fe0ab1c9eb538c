"""Command lines without their secrets: values that look like passwords, tokens and credentials become ***, the rest stays.

A secret is known by the name of its option or variable (`--password=x`, `--api-key x`, `-Dfoo.token=x`, `PGPASSWORD=x`), by its
place (`scheme://user:x@host`, `Authorization: Bearer x`, `curl -u user:x`, `mysql -px`, also behind `sudo` and in a script) or by
its own shape (tokens of GitHub, GitLab, Slack, AWS, JSON web tokens, private keys). Options that name a file, a type or a policy
(`--password-file`) hold no secret.

Law: text in, text out. A secret in none of these forms is not known to be one, so command lines stay something not to be published.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

MASK: Final = "***"

# fmt: off
_SECRET_WORDS: Final = frozenset((
    "password", "passwd", "passphrase", "passcode", "pass", "pwd", "pw", "secret", "secrets", "token", "credential", "credentials",
    "cookie", "bearer", "auth", "authorization", "apikey", "psk", "otp", "dsn",
))
_KEY_OWNERS: Final = (
    "api", "access", "private", "secret", "encryption", "signing", "master", "account", "shared", "session", "client", "license",
)
# fmt: on
_SECRET_ENDINGS: Final = ("password", "passwd", "passphrase", "secret", "token", "apikey", "accesskey", "secretkey", "privatekey")
_QUERY_NAMES: Final = frozenset(("key", "sig", "signature", "code"))
_NAME_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

_OPTION: Final = re.compile(r"--?[A-Za-z_][\w.\-]*")
_ASSIGNMENT: Final = re.compile(r"(-{0,2}[A-Za-z_][\w.\-]*)([=:])(.+)", re.DOTALL)
_INNER: Final = re.compile(r"(?<![\w\-.])(-{0,2}[A-Za-z_][\w\-.]*)([\"']?\s*[=:]\s*[\"']?)([^\s\"',;&|]+)")
_INNER_OPTION: Final = re.compile(r"(?<!\S)(--?[A-Za-z][\w\-.]*)(\s+)([^\s\-][^\s;&|]*)")
_HEADER: Final = re.compile(
    r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie|x-[\w-]*(?:key|token|secret|auth)|private-token)(\s*[:=]\s*)(.+)", re.DOTALL
)
_SCHEME: Final = re.compile(r"(?i)\b(bearer|basic)(\s+)[\w.~+/=\-]{6,}")
_URL_PASSWORD: Final = re.compile(r"(\b[A-Za-z][\w+.\-]*://)([^\s/@:'\"]*):[^\s@'\"]*@(?:[^\s/?#@'\"]*@)*")
_URL_TOKEN: Final = re.compile(r"(\b[A-Za-z][\w+.\-]*://)([^\s/@:'\"]{16,})@")
_QUERY: Final = re.compile(r"([?&])([\w.\-\[\]]+)=([^&#\s'\"]+)")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")  # one line is what queries can be made of: `.` does not match a line's end
_PASS_SOURCE: Final = re.compile(r"\b(pass:)(.+)", re.DOTALL)  # openssl-passphrase-options(1)
_SHAPES: Final = re.compile(
    r"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w\-]{16,}|xox[abeprs]-[\w\-]{10,}|\b(?:AKIA|ASIA)[A-Z0-9]{16}"
    r"|\beyJ[\w\-]{8,}\.[\w\-]{4,}(?:\.[\w\-]*)?|\bsk-[A-Za-z0-9_\-]{20,}|\bhvs\.[\w\-]{16,}|dckr_pat_[\w\-]{16,}"
    r"|\bnpm_[A-Za-z0-9]{30,}|\bpypi-[\w\-]{30,}|\bAIza[\w\-]{30,}|-----BEGIN[^-]*PRIVATE KEY-----.*",
    re.DOTALL,
)

_OPTIONS: Final = {  # what only this program's manual says: options whose value, in the next word or attached, holds a secret
    "curl": ("-u", "-U", "--user", "--proxy-user"),
    "http": ("-a", "--auth"),
    "https": ("-a", "--auth"),
    "sshpass": ("-p",),
    "redis-cli": ("-a", "--pass"),
    "ldapsearch": ("-w",),
    "ldapmodify": ("-w",),
    "ipmitool": ("-P",),
    "zip": ("-P",),
    "mongo": ("-p",),
    "mongosh": ("-p",),
    "mongodump": ("-p",),
    "snmpget": ("-A", "-X"),
    "snmpwalk": ("-A", "-X"),
    "mosquitto_pub": ("-P",),
    "mosquitto_sub": ("-P",),
    "smbclient": ("-U",),
    "openssl": ("-k", "-K"),
}
_ATTACHED: Final = ("mysql", "mysqldump", "mysqladmin", "mysqlimport", "mariadb", "mariadb-dump", "7z", "7za")  # -pSECRET
_LOGIN: Final = ("docker", "podman", "nerdctl")  # `docker login -p x`, but `docker run -p 80:80`
_PROGRAMS: Final = frozenset((*_OPTIONS, *_ATTACHED, *_LOGIN))
_PROGRAM: Final = re.compile(rf"(?<![\w.\-])(?:{'|'.join(sorted(_PROGRAMS))})(?=\s)")
_PIECES: Final = re.compile(r"(\s+|[;&|]+)")  # of a script
_SLASH_OPTION: Final = re.compile(r"(/p(?:ass(?:word)?)?:)(.+)", re.DOTALL)  # of xfreerdp, as Windows writes options
_SECRET_OBJECT: Final = re.compile(r"(secret,(?:.*,)?data=)[^,]+")  # of qemu's -object


@lru_cache(maxsize=1 << 12)
def is_secret_name(name: str) -> bool:
    """Whether an option, variable or field of this name holds a secret: the noun at its end is a word for one."""
    words = [word.lower() for word in _NAME_WORDS.findall(name)]
    if not words:
        return False
    if words[-1] in _SECRET_WORDS or words[-1].endswith(_SECRET_ENDINGS):
        return True
    if len(words) < 2 or words[-1] not in ("key", "id"):
        return False
    owner: str = words[-2]
    return owner.endswith(_KEY_OWNERS if words[-1] == "key" else "session")  # at its end, as in -Dapi-key


def redact(argv: Sequence[str], limit: int = 1 << 20) -> str:
    """The words of a command line as one line of at most `limit` characters, secrets masked."""
    shown: list[str] = []
    length = 0
    program, secret_next = "", False
    for index, word in enumerate(argv):
        if _base(word) in _PROGRAMS:  # behind sudo, env, docker exec and the like too
            program = _base(word)
        text, secret_next = (MASK, False) if secret_next else _word(word, program, argv, index)
        shown.append(text)
        length += len(text) + 1
        if length > limit:
            break
    text = _CONTROL.sub(" ", " ".join(shown))
    return text if len(text) <= limit else text[: max(0, limit - 1)] + "…"


def _base(word: str) -> str:
    return word.rpartition("/")[2]


def _word(word: str, program: str, argv: Sequence[str], index: int) -> tuple[str, bool]:
    """The word as it may be shown, and whether the next one is a secret."""
    if index and (special := _of_program(word, program, argv[:index])):
        return special
    assigned = _ASSIGNMENT.fullmatch(word)
    if assigned and is_secret_name(assigned[1]):
        return assigned[1] + assigned[2] + MASK, False
    if _OPTION.fullmatch(word) and is_secret_name(word):
        following = argv[index + 1] if index + 1 < len(argv) else "-"
        return word, not following.startswith("-")
    if found := _SLASH_OPTION.fullmatch(word):
        return found[1] + MASK, False
    return redact_text(word), False


def _of_program(word: str, program: str, before: Sequence[str]) -> tuple[str, bool] | None:
    if program in _ATTACHED and word.startswith("-p") and len(word) > 2:
        return "-p" + MASK, False
    options = ("-p", "--password") if program in _LOGIN and "login" in before else _OPTIONS.get(program, ())
    for option in options:
        if word == option:
            return word, True
        attached = option + "=" if option.startswith("--") else option
        if word.startswith(attached) and not (len(attached) == 2 and word.startswith("--")):
            return attached + MASK, False
    return None


def redact_text(text: str) -> str:
    """A text that may hold secrets anywhere in it: a script in one word, a header, a URL, a connection string."""
    if "://" in text:
        text = _URL_PASSWORD.sub(rf"\1\2:{MASK}@", text)
        text = _URL_TOKEN.sub(rf"\1{MASK}@", text)
        text = _QUERY.sub(_mask_query, text)
    text = _SHAPES.sub(MASK, text)
    if ":" in text or "=" in text:
        text = _HEADER.sub(rf"\1\2{MASK}", text)
        text = _PASS_SOURCE.sub(rf"\1{MASK}", text)
        text = _INNER.sub(_mask_named, text)
        text = _SECRET_OBJECT.sub(rf"\1{MASK}", text)
    if " " in text:
        text = _SCHEME.sub(rf"\1\2{MASK}", text)
        text = _scripted(text) if _PROGRAM.search(text) else text
        text = _INNER_OPTION.sub(_mask_named, text)
    return text


def _scripted(text: str) -> str:
    """A script: the options of the programs in it, as in a command line."""
    shown: list[str] = []
    before: list[str] = []
    program, secret_next = "", False
    for piece in _PIECES.split(text):
        text = piece
        if not piece or _PIECES.fullmatch(piece):
            program = "" if piece.strip() else program
        elif secret_next:
            text, secret_next = MASK, False
        elif _base(piece) in _PROGRAMS:
            program, before = _base(piece), []
        else:
            before.append(piece)
            text, secret_next = _of_program(piece, program, before) or (piece, False)
        shown.append(text)
    return "".join(shown)


def _mask_query(found: re.Match[str]) -> str:
    secret = found[2].lower() in _QUERY_NAMES or is_secret_name(found[2])
    return f"{found[1]}{found[2]}={MASK if secret else found[3]}"


def _mask_named(found: re.Match[str]) -> str:
    return found[1] + found[2] + (MASK if is_secret_name(found[1]) else found[3])
