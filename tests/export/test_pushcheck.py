"""Trying out a receiver: what is said of those that take, lose, refuse, hide and keep a probe."""

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from servers import free_port, get, running, wait_until

from energyd.config import Push
from energyd.export.pushcheck import PROBE, Checked, check
from energyd.service.clock import SYSTEM_CLOCK


def checked(
    clock: Any, *, takes: int = 204, export: Any = None, query: Any = None, deletes: int = 204, visible_s: float = 0.1
) -> tuple[Checked, list[str]]:
    """What is said of a receiver that answers so, and the paths that were asked. `export`, `query`: its answers, None = 404."""
    asked: list[str] = []

    async def main() -> Checked:
        async def answer(request: web.Request) -> web.StreamResponse:
            asked.append(f"{request.method} {request.path}")
            await request.read()
            if request.path == "/api/v1/import/prometheus":
                return web.Response(status=takes)
            if request.path.endswith("delete_series"):
                return web.Response(status=deletes)
            page = {"/api/v1/export": export, "/api/v1/query": query}.get(request.path)
            return (
                web.Response(status=404) if page is None else web.Response(text=page if isinstance(page, str) else json.dumps(page))
            )

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/v1/import/prometheus"
        found = await check(Push("vm", url), "1", clock, visible_s)
        await runner.cleanup()
        return found

    return asyncio.run(main()), asked


def there(clock: Any) -> dict[str, Any]:
    return {"metric": {}, "values": [42], "timestamps": [clock.real_ns() // 10**6]}


def test_a_probe_that_is_there_is_deleted(clock: Any) -> None:
    found, asked = checked(clock, export=there(clock))
    assert found.good
    assert found.sentences[-1] == "deleted it"
    assert asked[-1] == "POST /api/v1/admin/tsdb/delete_series"


def test_a_database_that_only_knows_queries_is_asked_with_one(clock: Any) -> None:
    values = [[clock.real_ns() // 10**6 / 1000, "42"]]
    found, asked = checked(clock, query={"data": {"result": [{"values": values}]}})
    assert found.good
    assert "GET /api/v1/query" in asked


def test_a_probe_that_was_acknowledged_and_is_not_there_is_a_failure(clock: Any) -> None:
    for export in ("", "nonsense\n[]\n", {**there(clock), "timestamps": [1]}):
        found, asked = checked(clock, export=export)
        assert not found.good
        assert "it is not there" in found.sentences[-1]
        assert not any("delete" in path for path in asked)


def test_a_receiver_that_cannot_be_asked_is_said_to_be_unproved(clock: Any) -> None:
    found, _ = checked(clock)
    assert found.good
    assert "cannot be read back" in found.sentences[-1]


def test_what_a_receiver_answers_instead_is_told(clock: Any) -> None:
    for status in (400, 401, 404, 500):
        found, asked = checked(clock, takes=status)
        assert not found.good
        assert f"answered {status}" in found.sentences[0]
        assert asked == ["POST /api/v1/import/prometheus"]


def test_a_probe_that_may_not_be_deleted_is_said_to_stay(clock: Any) -> None:
    found, _ = checked(clock, export=there(clock), deletes=403)
    assert found.good
    assert "stays there" in found.sentences[-1]


@pytest.mark.e2e
@pytest.mark.skipif(not (shutil.which("victoria-metrics") and shutil.which("prometheus")), reason="needs both servers")
def test_debians_servers_take_show_and_delete_the_probe_and_the_wrong_path_is_found_out(tmp_path: Path) -> None:
    vm, prom = free_port(), free_port()
    (tmp_path / "prometheus.yml").write_text("")
    commands = (
        ["victoria-metrics", f"-storageDataPath={tmp_path}/vm", f"-httpListenAddr=127.0.0.1:{vm}"],
        [
            "prometheus",
            f"--config.file={tmp_path}/prometheus.yml",
            f"--storage.tsdb.path={tmp_path}/prom",
            f"--web.listen-address=127.0.0.1:{prom}",
            "--web.enable-remote-write-receiver",
            "--web.enable-admin-api",
        ],
    )

    def all_of(*targets: Push) -> list[Checked]:
        async def main() -> list[Checked]:
            return await asyncio.gather(*[check(target, "1", SYSTEM_CLOCK) for target in targets])

        return asyncio.run(main())

    with running(commands[0], tmp_path / "vm.log"), running(commands[1], tmp_path / "prom.log"):
        ready: Callable[[], bool] = lambda: bool(get(f"http://127.0.0.1:{vm}/health") and get(f"http://127.0.0.1:{prom}/-/ready"))  # noqa: E731
        wait_until(ready)
        text, written, prometheus, wrong = all_of(
            Push("text", f"http://127.0.0.1:{vm}/api/v1/import/prometheus"),
            Push("written", f"http://127.0.0.1:{vm}/api/v1/write"),
            Push("prometheus", f"http://127.0.0.1:{prom}/api/v1/write"),
            Push("wrong", f"http://127.0.0.1:{vm}/api/v1/import"),  # takes JSON lines, and answers 204 to everything
        )
        assert [one.sentences[-1] for one in (text, written, prometheus)] == ["deleted it"] * 3
        assert not wrong.good
        assert get(f"http://127.0.0.1:{vm}/api/v1/export?match[]={PROBE}") == ""


@pytest.mark.parametrize(
    "page",
    [
        "null",
        "[]",
        "7",
        '"text"',
        "[" * 100_000,
        '{"timestamps": null}',
        '{"timestamps": 5}',
        '{"data": []}',
        '{"data": {"result": [5]}}',
        '{"data": {"result": [{"values": [["Infinity", "1"]]}]}}',
        '{"data": {"result": [{"values": [[1, 2, 3]]}]}}',
    ],
)
def test_an_answer_that_makes_no_sense_holds_no_probe(clock: Any, page: str) -> None:
    for where in ("export", "query"):
        found, _ = checked(clock, visible_s=0, **{where: page})  # type: ignore[arg-type]
        assert not found.good
        assert "it is not there after" in found.sentences[-1]
