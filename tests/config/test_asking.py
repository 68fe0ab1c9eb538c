"""Questions to a server that does not answer, refuses, or is none."""

import itertools
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from energyd import asking
from energyd.asking import TOO_LATE, NoAnswer, ask, understood


@pytest.fixture
def server():
    """(its host and port, what it answers, what it was asked)"""
    answer, asked = {"code": 200, "body": b"{}", "location": ""}, []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers["Authorization"]))
            host, body = self.headers["Host"], answer["body"]
            if answer["location"] and not answer["location"].startswith(f"http://{host}"):
                self.send_response(302)
                self.send_header("Location", answer["location"] + self.path)
                self.end_headers()
                return
            self.send_response(answer["code"])
            self.end_headers()
            try:
                for piece in [body] if isinstance(body, bytes) else body:
                    self.wfile.write(piece)
            except OSError:  # who asks has had enough
                pass

        def log_message(self, *_):
            pass

    http = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{http.server_port}", answer, asked
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def refused(url):
    with pytest.raises(NoAnswer) as fault:
        ask(url, timeout_s=5)
    return fault.value


def test_user_and_password_of_the_url_go_into_the_request(server):
    host, answer, asked = server
    answer["body"] = b'{"a": 1}'

    assert ask(f"http://us%40er:pass@{host}/x?y=1") == {"a": 1}
    assert ask(f"http://{host}/z") == {"a": 1}
    assert asked == [("/x?y=1", "Basic dXNAZXI6cGFzcw=="), ("/z", None)]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"status":"error","errorType":"bad_data","error":"parse error"}', "parse error"),
        (b'{"message":"Unable to find datasource"}', "Unable to find datasource"),
        (b"Authentication to data source failed", "Authentication to data source failed"),
        (b"<html>nginx</html>", ""),
        (b"[]", ""),
    ],
)
def test_who_refuses_is_quoted(server, body, words):
    host, answer, _ = server
    answer.update(code=400, body=body)
    fault = refused(f"http://{host}/")

    assert (fault.status, fault.words) == (400, words)
    assert str(fault) == "answers 400 Bad Request" + (f": {words}" if words else "")


def test_whom_a_server_sends_us_on_to_does_not_get_the_password(server):
    host, answer, asked = server
    elsewhere = host.replace("127.0.0.1", "localhost")
    answer["location"] = f"http://{elsewhere}"

    assert ask(f"http://user:secret@{host}/x") == {}
    assert asked == [("/x", "Basic dXNlcjpzZWNyZXQ="), ("/x", None)]

    answer["code"] = 401
    assert f"answers 401 Unauthorized at http://{elsewhere}/x" in str(refused(f"http://user:secret@{host}/x"))


def test_an_answer_without_end_is_too_much_and_one_that_drips_too_late(server, monkeypatch):
    host, answer, _ = server
    monkeypatch.setattr(asking, "MOST_BYTES", 1 << 20)
    answer["body"] = iter(lambda: b" " * 65536, None)
    fault = refused(f"http://{host}/")
    assert (fault.status, str(fault)) == (TOO_LATE, "answers with more than 1 MiB")

    answer["body"] = (time.sleep(0.01) or b" " for _ in itertools.count())
    with pytest.raises(NoAnswer) as fault:
        ask(f"http://{host}/", timeout_s=0.1)
    assert (fault.value.status, str(fault.value)) == (TOO_LATE, "has not answered all in 0.1 s")


@pytest.mark.parametrize("code", [200, 400])
def test_what_is_nested_too_deeply_is_not_json(server, code):
    host, answer, _ = server
    answer.update(code=code, body=b"[" * 200_000 + b"]" * 200_000)
    assert refused(f"http://{host}/").status == (0 if code == 200 else 400)


@pytest.mark.parametrize("told", [None, [], 5, "text", {"data": None}, {"data": "x"}, {"data": {"value": []}}])
def test_an_answer_of_another_shape_is_no_answer(told):
    with pytest.raises(NoAnswer, match="does not answer as Prometheus does"), understood("Prometheus"):
        float(told["data"]["value"][1])


def test_what_is_not_json_is_shown(server):
    host, answer, _ = server
    answer["body"] = b"<html>"
    assert str(refused(f"http://{host}/")) == "answers what is not JSON: b'<html>'"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "127.0.0.1:9090/api", "http://", "ftp:///x", "file:///etc/hostname", "", "http://[::1"]
)
def test_nobody_there_or_no_url_is_no_answer(url):
    assert refused(url).status == 0


def test_who_takes_too_long_is_not_nobody():
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(NoAnswer) as fault:
        ask(f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout_s=0.05)
    assert (fault.value.status, str(fault.value)) == (TOO_LATE, "does not answer in 0.05 s")


def test_what_does_not_speak_http_is_no_answer():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet():
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        fault = refused(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join()
    assert (fault.status, "does not answer" in str(fault)) == (0, True)
