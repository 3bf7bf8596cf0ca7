"""The health endpoints."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client
from pytest_django import Settings

from portal.run.processes import wait_until


@pytest.fixture
def redis(tmp_path: Path, settings: Settings) -> Iterator[None]:
    """A Redis of this test's own."""
    path = tmp_path / "redis.sock"
    settings.REDIS_URL = f"unix://{path}"
    command = ["redis-server", "--port", "0", "--unixsocket", str(path), "--dir", str(tmp_path), "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        assert wait_until(path.exists, 10)
        yield
        server.terminate()


def test_healthz_answers_without_login_and_without_a_database(client: Client) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.content) == (200, b"ok\n")
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.django_db
@pytest.mark.usefixtures("redis")
def test_readyz_is_ready_when_database_and_redis_answer(client: Client) -> None:
    assert client.get("/readyz").status_code == 200


@pytest.mark.django_db
def test_readyz_says_no_without_redis_and_does_not_say_why(client: Client, settings: Settings, tmp_path: Path) -> None:
    settings.REDIS_URL = f"unix://{tmp_path}/nobody.sock"
    answer = client.get("/readyz")
    assert (answer.status_code, answer.content) == (503, b"unavailable\n")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_only_read(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405


def test_every_answer_carries_the_strict_policy(client: Client) -> None:
    answer = client.get("/healthz")
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"
