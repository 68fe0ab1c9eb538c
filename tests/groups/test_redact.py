"""Secrets in command lines are masked, and what people ask for stays: which machine, which kernel, which program."""

import shlex
import string

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from energyd.redact import MASK, is_secret_name, redact, redact_text

MASKED = {
    "app --password=hunter2 --port 80": "app --password=*** --port 80",
    "app --password hunter2 --port 80": "app --password *** --port 80",
    "app -password hunter2": "app -password ***",
    "app --db-password=x --dbPassword=y --DB_PASSWORD=z": "app --db-password=*** --dbPassword=*** --DB_PASSWORD=***",
    "app --api-key k --apiKey=k apikey:k --accessKey k --secret-access-key=k": (
        "app --api-key *** --apiKey=*** apikey:*** --accessKey *** --secret-access-key=***"
    ),
    "app --token t --auth-token=t --client-secret t": "app --token *** --auth-token=*** --client-secret ***",
    "env PGPASSWORD=zz MYSQL_PWD=y AWS_SECRET_ACCESS_KEY=q psql": "env PGPASSWORD=*** MYSQL_PWD=*** AWS_SECRET_ACCESS_KEY=*** psql",
    "java -Dfoo.password=x -Dbar=y": "java -Dfoo.password=*** -Dbar=y",
    "curl -u me:pw https://me:pw@host/x?token=abc&a=b": "curl -u *** https://me:***@host/x?token=***&a=b",
    "curl -ume:pw --user=me:pw": "curl -u*** --user=***",
    "curl -H 'Authorization: Bearer abcdefgh' https://h": "curl -H Authorization:*** https://h",
    "curl -H 'X-Api-Key: abcdefgh' https://h": "curl -H X-Api-Key:*** https://h",
    "wget --header='Cookie: session=1' u": "wget --header=Cookie: *** u",
    "git clone https://oauth2tokenverylong123@github.com/x": "git clone https://***@github.com/x",
    "app postgres://u:p%40x@db/name": "app postgres://u:***@db/name",
    "app 'Server=db;Password=abc;Database=x'": "app Server=db;Password=***;Database=x",
    'app \'{"password": "abc", "user": "me"}\'': 'app {"password": "***", "user": "me"}',
    "sh -c 'export API_KEY=abc; foo --secret xyz | bar'": "sh -c export API_KEY=***; foo --secret *** | bar",
    "mysql -u root -psecret db": "mysql -u root -p*** db",
    "mysqldump -p db": "mysqldump -p db",
    "sudo -u x mysql -psecret db": "sudo -u x mysql -p*** db",
    "docker exec db mysqldump -psecret a": "docker exec db mysqldump -p*** a",
    "sudo /usr/bin/sshpass -p pw ssh x": "sudo /usr/bin/sshpass -p *** ssh x",
    "sh -c 'mysql -psecret -e x; curl -u me:pw http://h | tee -p y'": "sh -c mysql -p*** -e x; curl -u *** http://h | tee -p y",
    "sh -c 'cd /x && /usr/bin/redis-cli  -a pw ping'": "sh -c cd /x && /usr/bin/redis-cli  -a *** ping",
    "bash -c 'docker login -u me -p pw; docker run -p 80:80 x'": "bash -c docker login -u me -p ***; docker run -p 80:80 x",
    "xfreerdp /u:me /p:pw /password:pw /v:host": "xfreerdp /u:me /p:*** /password:*** /v:host",
    "qemu-system-x86_64 -object secret,id=s,data=pw,format=raw": "qemu-system-x86_64 -object secret,id=s,data=***,format=raw",
    "sshpass -p pw ssh x": "sshpass -p *** ssh x",
    "redis-cli -a pw ping": "redis-cli -a *** ping",
    "docker login -u me -p pw registry": "docker login -u me -p *** registry",
    "docker run -p 80:80 nginx": "docker run -p 80:80 nginx",
    "openssl enc -pass pass:foo": "openssl enc -pass ***",
    "app ghp_abcdefghijklmnopqrstuvwxyz0123 AKIAABCDEFGHIJKLMNOP": "app *** ***",
    "app eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_": "app ***",
    "app '-----BEGIN RSA PRIVATE KEY-----\nMIIE'": "app ***",
}
KEPT = [
    "qemu-system-x86_64 -M microvm -m 512 -kernel vmlinux",
    "firecracker --api-sock /run/fc.sock --id unikernel-1",
    "app --password-file /etc/x --token-path=/t --auth-type ldap --max-tokens 512 --tokenizer x",
    "ssh -i /home/me/.ssh/id_rsa host",
    "redis-server *:6379",
    "postgres: 14/main: checkpointer",
    "sshd: root@pts/0",
    "prometheus --web.listen-address=0.0.0.0:9090 --storage.tsdb.path=/data",
    "app http://host:8428/api/v1/import?extra_label=a=b",
    "compass --author me --passive --keyboard=fr --monkey 1",
    "app --passphrase --verbose",
]


@pytest.mark.parametrize("line", MASKED)
def test_a_secret_is_masked_and_the_rest_stays(line: str) -> None:
    assert redact(shlex.split(line)) == MASKED[line]


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (["x", "{'password': 'hush', 'user': 'bob'}"], "x {'password': '***', 'user': 'bob'}"),
        (["x", "ftp://u:hu@sh@host/p?mail=a@b.c"], "x ftp://u:***@host/p?mail=a@b.c"),
        (["x", "https://u:hush@host/p?mail=a@b.c"], "x https://u:***@host/p?mail=a@b.c"),
        (["7z", "a", "-phush", "x.7z"], "7z a -p*** x.7z"),
        (["zip", "-P", "hush", "x.zip"], "zip -P *** x.zip"),
        (["ipmitool", "-U", "admin", "-P", "hush", "power"], "ipmitool -U admin -P *** power"),
        (["mongosh", "--port", "27017", "-p", "hush"], "mongosh --port 27017 -p ***"),
        (["snmpget", "-A", "hush", "-X", "hush2", "host"], "snmpget -A *** -X *** host"),
    ],
)
def test_quotes_at_signs_and_options_of_programs_hide_no_secret(argv: list[str], shown: str) -> None:
    assert redact(argv) == shown


@pytest.mark.parametrize("line", KEPT)
def test_what_is_no_secret_stays(line: str) -> None:
    assert redact(shlex.split(line)) == line


def test_a_command_line_is_cut_to_what_may_be_shown() -> None:
    assert redact(["x" * 50, "y"], 10) == "x" * 9 + "…"
    assert redact(["ab", "cd"], 5) == "ab cd"
    assert redact([]) == ""
    assert redact(["sh", "-c", "one\n\ttwo"]) == "sh -c one two"


secrets = st.text(string.ascii_letters + string.digits + "._+/~", min_size=8, max_size=40).filter(lambda text: text not in MASK)
names = st.sampled_from(["password", "db-password", "api-key", "apiKey", "auth_token", "SECRET", "PGPASSWORD", "client-secret"])
forms = st.sampled_from(["--{n}={s}", "-{n}={s}", "{n}={s}", "-D{n}={s}", "{n}:{s}", "--x https://u:{s}@h/", "-H 'X-{n}: {s}'"])


@given(names, secrets, forms, st.lists(st.sampled_from(["run", "-v", "--port=80", "x y"]), max_size=4))
@example("password", "//000000", "--{n}={s}", [])
@example("password", "000000PW", "-H 'X-{n}: {s}'", [])
def test_a_named_secret_never_comes_through(name, secret, form, around):
    if "https" in form:
        secret = secret.replace("/", "_")
    assume(secret not in form.format(n=name, s=MASK))  # as a password "password" is
    words = [*around, *shlex.split(form.format(n=name, s=secret)), *around]
    assert secret not in redact(["app", *words])
    assert secret not in redact(["sh", "-c", " ".join(words)])


@given(st.lists(st.text(max_size=60), max_size=8), st.integers(0, 200))
def test_any_words_can_be_shown(argv, limit):
    assert len(redact(argv, limit)) <= max(limit, 1)
    redact_text(" ".join(argv))


@pytest.mark.parametrize(
    ("name", "secret"),
    [("password", True), ("PGPASSWORD", True), ("userPass", True), ("compass", False), ("--pass", True), ("keyboard", False),
     ("ssh-key", False), ("api_key", True), ("sessionId", True), ("", False), ("---", False), ("tokens", False), ("xtoken", True)],
)  # fmt: skip
def test_names_of_secrets(name: str, secret: bool) -> None:
    assert is_secret_name(name) == secret
