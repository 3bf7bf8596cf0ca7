"""Posting to URLs that people chose: over real connections, to the address that was checked, and not for ever."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.pki import Authority
from tests.support.receiver import Receiver, Temper
from vms import posting
from vms.posting import Answer, Unanswered

BODY = b'{"type": "test"}'


@pytest.fixture
def server() -> Iterator[Receiver]:
    """A receiver on this machine."""
    server = Receiver()
    yield server
    server.close()


def post(url: str, *, private: bool = True, timeout: float = 5) -> Answer:
    """Post something."""
    return posting.post(url, BODY, {"X-Portal-Event": "test"}, private=private, timeout=timeout)


class Resolver:
    """Stands in for the name service: each name's addresses, the next ones each time it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, port: int, *answers: list[str]) -> None:
        self.asked = 0
        self._port, self._answers = port, answers
        monkeypatch.setattr(socket, "getaddrinfo", self._resolve)

    def _resolve(self, host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        addresses = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, self._port)) for address in addresses]


def test_a_body_is_posted_and_the_answer_returned(server: Receiver) -> None:
    answer = post(server.url)
    assert (answer.status, answer.taken, answer.in_trouble, str(answer)) == (204, True, False, "204 No Content")
    (taken,) = server.taken
    assert taken.line == "POST /hook?from=portal HTTP/1.1"
    assert taken.body == BODY
    assert taken.headers["Host"] == f"127.0.0.1:{server.port}"
    assert taken.headers["X-Portal-Event"] == "test"


@pytest.mark.parametrize(("temper", "status", "in_trouble"), [(Temper.BROKEN, 500, True), (Temper.REFUSES, 404, False)])
def test_a_refusal_is_an_answer(server: Receiver, temper: Temper, status: int, in_trouble: bool) -> None:
    server.temper = temper
    answer = post(server.url)
    assert (answer.status, answer.taken, answer.in_trouble) == (status, False, in_trouble)


def test_a_redirect_is_not_followed(server: Receiver) -> None:
    server.temper = Temper.REDIRECTS
    answer = post(server.url)
    assert (answer.status, answer.taken) == (307, False)
    assert server.connections == 1


def test_what_an_answer_says_besides_its_head_is_not_read(server: Receiver) -> None:
    server.temper = Temper.TALKS
    assert post(server.url).status == 200


@pytest.mark.parametrize("temper", [Temper.HANGS, Temper.DRIPS])
def test_a_receiver_that_is_too_slow_is_left_at_the_deadline(server: Receiver, temper: Temper) -> None:
    server.temper = temper
    began = time.monotonic()
    with pytest.raises(Unanswered, match=r"No answer within 0\.4 s"):
        post(server.url, timeout=0.4)
    assert time.monotonic() - began >= 0.4


def test_a_head_without_end_is_read_to_a_limit(server: Receiver) -> None:
    server.temper = Temper.FLOODS
    with pytest.raises(Unanswered, match="longer than 65536 bytes"):
        post(server.url, timeout=60)


@pytest.mark.parametrize("temper", [Temper.HANGS_UP, Temper.GARBAGE])
def test_who_speaks_no_http_has_not_answered(server: Receiver, temper: Temper) -> None:
    server.temper = temper
    with pytest.raises(Unanswered):
        post(server.url)


def test_nobody_there_is_no_answer() -> None:
    server = Receiver()
    server.close()
    with pytest.raises(Unanswered, match="refused"):
        post(server.url)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "[::1]"]
)
def test_however_this_machine_is_called_it_is_not_connected_to(server: Receiver, host: str) -> None:
    with pytest.raises(Unanswered, match="not on the Internet"):
        post(f"http://{host}:{server.port}/", private=False)
    assert server.connections == 0


def test_a_name_that_leads_within_is_not_connected_to(server: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    Resolver(monkeypatch, server.port, ["10.1.2.3", "127.0.0.1", "169.254.169.254"])
    with pytest.raises(Unanswered, match=r"harmless\.example\.org is not on the Internet"):
        post("http://harmless.example.org/", private=False)
    assert server.connections == 0


def test_a_name_is_resolved_once_and_what_was_checked_is_connected_to(
    server: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A name service that says something harmless first, and this machine from then on.
    resolver = Resolver(monkeypatch, server.port, ["224.0.0.1"], ["127.0.0.1"])
    with pytest.raises(Unanswered, match="not on the Internet"):
        post("http://turncoat.example.org/")
    assert (resolver.asked, server.connections) == (1, 0)
    # And the other way round: the first answer holds.
    resolver = Resolver(monkeypatch, server.port, ["127.0.0.1"], ["224.0.0.1"])
    assert post("http://turncoat.example.org/").taken
    assert (resolver.asked, server.connections) == (1, 1)


def test_of_several_addresses_only_those_allowed_are_tried(server: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    Resolver(monkeypatch, server.port, ["224.0.0.1", "127.0.0.1"])
    assert post("http://two.example.org/").taken


def test_the_next_address_is_tried_where_one_refuses(server: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    Resolver(monkeypatch, server.port, ["127.0.0.2", "127.0.0.1"])
    assert post("http://two.example.org/").taken


def test_a_name_that_nobody_knows_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Unanswered, match=r"nowhere\.example\.org is not found: .*not known"):
        post("http://nowhere.example.org/")


def test_a_name_service_that_hangs_is_left_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(30) and [])
    with pytest.raises(Unanswered, match=r"No answer within 0\.2 s"):
        post("http://slow.example.org/", timeout=0.2)
    released.set()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs the receiver's certificate."""
    return Authority(tmp_path_factory.mktemp("pki"), "authority")


@pytest.fixture
def secure(authority: Authority) -> Iterator[Receiver]:
    """A receiver that speaks TLS as hooks.example.org."""
    own = authority.issue("server", alternative_names="DNS:hooks.example.org")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(own.certificate, own.key)
    server = Receiver(context)
    yield server
    server.close()


def trust(monkeypatch: pytest.MonkeyPatch, certificate: Path) -> None:
    """Have this machine trust who signed."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


def test_tls_is_spoken_to_the_checked_address_under_the_name_of_the_url(
    secure: Receiver, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(monkeypatch, authority.own.certificate)
    Resolver(monkeypatch, secure.port, ["127.0.0.1"])
    assert post("https://hooks.example.org/x").taken
    assert secure.taken[0].headers["Host"] == "hooks.example.org"


def test_a_certificate_for_another_name_is_refused(
    secure: Receiver, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(monkeypatch, authority.own.certificate)
    Resolver(monkeypatch, secure.port, ["127.0.0.1"])
    with pytest.raises(Unanswered, match=r"other\.example\.org"):
        post("https://other.example.org/")
    assert secure.taken == []


def test_a_certificate_that_nobody_vouches_for_is_refused(secure: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    Resolver(monkeypatch, secure.port, ["127.0.0.1"])
    with pytest.raises(Unanswered, match="certificate verify failed"):
        post("https://hooks.example.org/")
    assert secure.taken == []
