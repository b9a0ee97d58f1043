from __future__ import annotations

import os
import subprocess
from datetime import UTC, date, datetime

import pytest

from compress.errors import UsageError
from evals.results import provenance
from evals.results.provenance import measured_now, measured_then


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Return a checkout of one commit, of the year 2020."""
    monkeypatch.setattr(provenance, "_ROOT", tmp_path)
    (tmp_path / "compress").mkdir()
    (tmp_path / "compress" / "a.py").write_text("a = 1\n")
    for variable in ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"):
        monkeypatch.setenv(variable, "2020-01-02T03:04:05+00:00")
    for variable in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
        monkeypatch.delenv(variable, raising=False)
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "--quiet"], ["add", "."], [*identity, "commit", "--quiet", "--message", "one"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    return tmp_path


def test_today_s_date_commit_and_machine(checkout):
    found = measured_now("call")
    assert found.date == datetime.now(UTC).date()
    assert len(found.commit) >= 7
    assert found.host["cores"] >= 1
    assert found.latency == "call"
    assert not found.changed
    (checkout / "notes.txt").write_text("no code")
    assert not measured_now().changed
    (checkout / "compress" / "a.py").write_text("a = 2\n")
    assert measured_now().changed


def test_an_older_file_has_the_commit_of_its_day(checkout):
    file = checkout / "bench.json"
    file.write_text("{}")
    for year, day in ((2021, date(2021, 6, 1)), (2019, None)):
        moment = datetime(year, 6, 1, 12, tzinfo=UTC).timestamp()
        os.utime(file, (moment, moment))
        if day is None:
            with pytest.raises(UsageError, match="before the first commit"):
                measured_then(file, {}, None)
        else:
            found = measured_then(file, {"cpu": "x"}, None)
            assert (found.date, found.host) == (day, {"cpu": "x"})
            assert found.commit == measured_now().commit


def test_code_without_a_commit_measures_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "_ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UsageError, match="commit of the code cannot be told"):
        measured_now()
