"""Configuration: what is read, what is refused, and in which words."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from django.core.exceptions import ImproperlyConfigured

from portal import env


def ids(variables: dict[str, str]) -> set[str]:
    """The ids of the problems, without the one every unprepared home has."""
    return {problem.id for problem in env.load(variables).problems} - {env.UNPREPARED_HOME}


@pytest.fixture
def short_home() -> Iterator[Path]:
    """A home whose path leaves room for the name of a socket, which has 107 characters at most."""
    with TemporaryDirectory() as home:
        yield Path(home)


def test_without_any_variable_everything_has_a_usable_default(short_home: Path) -> None:
    config = env.load({"PORTAL_HOME": str(short_home)})
    assert config.errors == []
    assert (config.port, config.bind, config.workers, config.demo, config.debug) == (8000, "127.0.0.1", 4, True, False)
    assert config.database["NAME"] == str(short_home / "portal.sqlite3")
    assert config.url == "http://127.0.0.1:8000/"
    assert config.own_redis
    assert config.broker_url == f"redis+socket://{short_home}/run/redis.sock"


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("PORTAL_PORT", "abc", "portal.E001"),
        ("PORTAL_PORT", "0", "portal.E001"),
        ("PORTAL_PORT", "70000", "portal.E001"),
        ("PORTAL_BIND", "example.org", "portal.E002"),
        ("DATABASE_URL", "mysql://root@localhost/portal", "portal.E004"),
        ("DATABASE_URL", "portal.db", "portal.E004"),
        ("REDIS_URL", "localhost:6379", "portal.E005"),
        ("PORTAL_DEMO", "yes", "portal.E006"),
        ("PORTAL_HTTPS", "true", "portal.E007"),
        ("PORTAL_LIBVIRT_URI", "system", "portal.E008"),
        ("PORTAL_WORKERS", "0", "portal.E009"),
        ("PORTAL_DEBUG", "2", "portal.E010"),
        ("PORTAL_BIND", "0.0.0.0", "portal.E011"),
        ("PORTAL_TRUSTED_ORIGINS", "vms.example.org", "portal.E012"),
        ("PORTAL_LOG_FORMAT", "xml", "portal.E013"),
        ("PORTAL_LOG_LEVEL", "loud", "portal.E014"),
        ("PORTAL_SECRET_KEY", "short", "portal.E015"),
        ("EMAIL_URL", "mail.example.org", "portal.E019"),
        ("EMAIL_URL", "consolemail://", "portal.E019"),
        ("EMAIL_URL", "smtp://", "portal.E019"),
        ("PORTAL_EMAIL_FROM", "VM Portal", "portal.E020"),
        ("PORTAL_URL", "vms.example.org", "portal.E021"),
        ("PORTAL_URL", "https://example.org/vms", "portal.E021"),
        ("PORTAL_WEBHOOKS_PRIVATE", "yes", "portal.E023"),
    ],
)
def test_a_wrong_value_is_one_problem_with_a_hint_and_stops_servers(name: str, value: str, problem: str) -> None:
    config = env.load({name: value})
    assert ids({name: value}) == {problem}
    assert all(found.hint and name in str(found) for found in config.errors)
    with pytest.raises(ImproperlyConfigured, match=name):
        config.require()


MAIL = {
    "EMAIL_URL": "smtp+tls://portal:p%40ss@mail.example.org",
    "PORTAL_EMAIL_FROM": "VM Portal <vms@example.org>",
    "PORTAL_URL": "https://vms.example.org/",
}


def test_mail_is_off_until_a_server_is_named() -> None:
    config = env.load({})
    assert not config.mails
    assert config.email == {}


@pytest.mark.parametrize(
    ("url", "port", "tls"),
    [
        ("smtp://mail.example.org", 25, None),
        ("smtp+tls://mail.example.org", 587, "EMAIL_USE_TLS"),
        ("smtp+ssl://mail.example.org", 465, "EMAIL_USE_SSL"),
        ("smtp://mail.example.org:2525", 2525, None),
    ],
)
def test_a_mail_server_is_named_by_its_url(url: str, port: int, tls: str | None) -> None:
    config = env.load(MAIL | {"EMAIL_URL": url})
    assert config.errors == []
    assert config.mails
    assert (config.email["EMAIL_HOST"], config.email["EMAIL_PORT"]) == ("mail.example.org", port)
    assert {name for name in config.email if name.startswith("EMAIL_USE")} == ({tls} if tls else set())


def test_the_mail_servers_password_is_read_and_not_shown() -> None:
    config = env.load(MAIL)
    assert (config.email["EMAIL_HOST_USER"], config.email["EMAIL_HOST_PASSWORD"]) == ("portal", "p@ss")
    assert config.public_url == "https://vms.example.org"
    assert "p@ss" not in repr(config)


@pytest.mark.parametrize("missing", ["PORTAL_EMAIL_FROM", "PORTAL_URL"])
def test_mail_needs_a_sender_and_an_address_for_its_links(missing: str) -> None:
    variables = {name: value for name, value in MAIL.items() if name != missing}
    (problem,) = env.load(variables).errors
    assert missing in problem.message
    assert f"{missing}=" in problem.hint


def test_all_problems_are_reported_at_once() -> None:
    assert ids({"PORTAL_PORT": "abc", "PORTAL_WORKERS": "many"}) == {"portal.E001", "portal.E009"}


def test_a_misspelt_variable_is_named_with_the_one_that_was_meant() -> None:
    (problem,) = (found for found in env.load({"PORTAL_PROT": "80"}).problems if found.id == "portal.W018")
    assert "PORTAL_PORT" in problem.hint
    assert not problem.fatal


@pytest.mark.parametrize(
    ("given", "broker"),
    [
        ("redis://127.0.0.1:6380/1", "redis://127.0.0.1:6380/1"),
        ("unix:///run/redis.sock", "redis+socket:///run/redis.sock"),
    ],
)
def test_a_given_redis_is_used_and_none_is_started(given: str, broker: str) -> None:
    config = env.load({"REDIS_URL": given})
    assert (config.broker_url, config.own_redis) == (broker, False)


def test_a_long_home_gets_a_short_directory_for_its_sockets(tmp_path: Path) -> None:
    home = tmp_path / ("x" * 60) / ("y" * 60)
    run = env.run_directory(home)
    assert run == env.run_directory(home)
    assert run != env.run_directory(home / "other")
    assert len(str(run / "supervisor.sock.4194304")) <= 107


def test_open_to_the_network_under_named_hosts() -> None:
    config = env.load({"PORTAL_BIND": "0.0.0.0", "PORTAL_ALLOWED_HOSTS": "vms.example.org, 192.0.2.7"})
    assert config.errors == []
    assert config.allowed_hosts[:2] == ["vms.example.org", "192.0.2.7"]
    assert config.connect_address == "127.0.0.1"


def test_the_secret_key_of_the_home_is_used(tmp_path: Path) -> None:
    (tmp_path / "secret-key").write_text("k" * 50 + "\n")
    config = env.load({"PORTAL_HOME": str(tmp_path)})
    assert config.secret_key == "k" * 50
    assert config.problems == ()
    assert "k" * 50 not in repr(config)
