"""Speaks as much of Grafana's HTTP API as doctor asks, in front of real data sources; Grafana itself is in no Debian.

Outside truth: Grafana's documentation "Data source HTTP API", "Dashboard HTTP API", "Folder/Dashboard search HTTP API" (requests,
answers, permissions), and of its sources (v9 to v11) pkg/api/pluginproxy/ds_proxy.go, pkg/util/proxyutil/reverse_proxy.go and
pkg/services/datasourceproxy/datasourceproxy.go: which status stands for which fault of a data source, and with which body.
"""

import base64
import json
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ADMIN, VIEWER = "admin:secret", "viewer:secret"
REFUSED = {"message": "You'll need additional permissions to perform this action. Permissions needed: datasources:read"}


class Grafana:
    """`sources` and `boards` (JSON models) are what it has, `slow` what a query has in it that takes too long."""

    def __init__(self) -> None:
        self.database = "ok"
        self.slow = ""
        self.sources: list[dict[str, Any]] = []
        self.boards: list[dict[str, Any]] = []

    def __enter__(self) -> "Grafana":
        grafana = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                code, body = grafana._answer(self.path, self.headers.get("Authorization", ""))
                self.send_response(code)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def url(self, user: str = ADMIN) -> str:
        return f"http://{user}@127.0.0.1:{self._http.server_port}"

    def has(self, url: str, *boards: dict[str, Any], **more: object) -> None:
        """One data source, as provisioning makes it, and dashboards."""
        source = {
            "id": 1,
            "uid": "energyd",
            "name": "energyd",
            "type": "prometheus",
            "access": "proxy",
            "url": url,
            "isDefault": True,
        }
        self.sources = [source | {"jsonData": {"timeInterval": "1s"}} | more]
        self.boards = list(boards)

    def _answer(self, path: str, authorization: str) -> tuple[int, bytes]:
        path, _, query = path.partition("?")
        if path == "/api/health":
            return 200, _json({"commit": "x", "database": self.database, "version": "11.5.1"})
        user = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        if user not in (ADMIN, VIEWER):
            return 401, _json({"message": "Invalid username or password"})
        if path == "/api/datasources":
            return (200, _json(self.sources)) if user == ADMIN else (403, _json(REFUSED))
        if path == "/api/search":
            return 200, _json([{"uid": board["uid"], "title": board["title"], "type": "dash-db"} for board in self.boards])
        if path.startswith("/api/dashboards/uid/"):
            [board] = [board for board in self.boards if path.endswith("/" + board["uid"])]
            return 200, _json({"dashboard": board, "meta": {}})
        uid, _, rest = path.removeprefix("/api/datasources/proxy/uid/").partition("/")
        source = next((source for source in self.sources if source["uid"] == uid), None)
        if source is None:
            return 404, _json({"message": "Unable to find datasource"})
        if self.slow and self.slow in query:
            return 504, b""
        return _passed_on(f"{source['url']}/{rest}?{query}")


def _passed_on(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return (400, b"Authentication to data source failed") if error.code == 401 else (error.code, error.read())
    except OSError:
        return 502, b""


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
