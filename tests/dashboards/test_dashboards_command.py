"""`energyd dashboards check` without a server, or with files that are none; with servers: tests/e2e/test_e2e_dashboards.py."""

import json

import pytest

from energyd import cli


@pytest.mark.parametrize(
    ("text", "said"), [("{", "cannot be read as JSON"), ('{"groups": []}', "is no dashboard"), (None, "No such file")]
)
def test_a_file_that_is_no_dashboard_is_a_wrong_configuration(text, said, tmp_path, capsys):
    file = tmp_path / "board.json"
    if text is not None:
        file.write_text(text)

    assert cli.main(["dashboards", "check", "--prometheus", "http://127.0.0.1:1", str(file)]) == 100
    assert f"{file}: " in (told := capsys.readouterr().err)
    assert said in told


@pytest.mark.parametrize("url", ["http://user:secret@127.0.0.1:1", "127.0.0.1:1"])
def test_a_server_that_does_not_answer_is_named_without_its_password(url, tmp_path, capsys):
    file = tmp_path / "board.json"
    file.write_text(json.dumps({"dashboard": {"panels": []}}))

    assert cli.main(["dashboards", "check", "--prometheus", url, str(file)]) == 111
    told = capsys.readouterr().err
    assert "127.0.0.1:1 does not answer: " in told
    assert "secret" not in told


def test_an_interval_is_a_duration(capsys):
    with pytest.raises(SystemExit):
        cli.main(["dashboards", "check", "--prometheus", "http://127.0.0.1:1", "--scrape-interval", "15"])
    assert "must be a duration such as 15s" in capsys.readouterr().err
