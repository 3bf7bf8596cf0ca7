"""Every error by which a host can be out of reach leads to what its admin can do about it."""

from __future__ import annotations

import pytest

from vms import host_words
from vms.domain.errors import HostUriError
from vms.domain.trouble import Trouble, diagnose

#: As libvirt 9.0 (and OpenSSH 9.2 through it) said them.
SAID = [
    ("unable to connect to server at '127.0.0.1:1': Connection refused", Trouble.REFUSED),
    ("unable to connect to server at '192.0.2.7:16514': No route to host", Trouble.NO_ROUTE),
    ("unable to connect to server at '192.0.2.7:16514': Connection timed out", Trouble.NO_ANSWER),
    ("Unable to resolve address 'kvm2.invalid' service '16509': Name or service not known", Trouble.NOT_RESOLVED),
    ("Failed to connect socket to '/var/run/libvirt/libvirt-sock': No such file or directory", Trouble.NO_SOCKET),
    ("Failed to connect socket to '/var/run/libvirt/libvirt-sock': Connection refused", Trouble.NO_SOCKET),
    ("Failed to connect socket to '/var/run/libvirt/libvirt-sock': Permission denied", Trouble.NO_ACCESS),
    ("authentication unavailable: no polkit agent available to authenticate action", Trouble.NO_ACCESS),
    ("access denied: Requested operation was denied by policy", Trouble.NO_ACCESS),
    ("no connection driver available for xen:///system", Trouble.NO_DRIVER),
    ("internal error: unexpected qemu URI path '/system', try qemu:///session", Trouble.WRONG_PATH),
    ("Cannot read CA certificate '/etc/pki/CA/cacert.pem': No such file or directory", Trouble.TLS_FILES),
    (
        (
            "Our own certificate /p/clientcert.pem failed validation against /p/cacert.pem: The certificate hasn't "
            "got a known issuer."
        ),
        Trouble.TLS_FILES,
    ),
    ("authentication failed: Failed to verify peer's certificate", Trouble.TLS_UNTRUSTED),
    ("The server certificate /p/servercert.pem has expired", Trouble.TLS_TIME),
    ("authentication failed: TLS handshake failed Error in the pull function.", Trouble.TLS_REJECTED),
    ("Unable to read TLS confirmation: Input/output error", Trouble.TLS_REJECTED),
    ("authentication failed: authentication failed", Trouble.AUTHENTICATION),
    ("authentication cancelled: no credentials were given", Trouble.AUTHENTICATION),
    ("Cannot find 'ssh' in path: No such file or directory", Trouble.SSH_MISSING),
    (
        "Cannot recv data: ssh: connect to host 127.0.0.1 port 1: Connection refused: Connection reset by peer",
        Trouble.REFUSED,
    ),
    (
        (
            "Cannot recv data: ssh: Could not resolve hostname kvm2.invalid: Name or service not known: Connection "
            "reset by peer"
        ),
        Trouble.NOT_RESOLVED,
    ),
    (
        (
            "Cannot recv data: Warning: Identity file /nokey not accessible: No such file or directory.\n"
            "root@kvm2: Permission denied (publickey).: Connection reset by peer"
        ),
        Trouble.SSH_KEY_FILE,
    ),
    (
        "Cannot recv data: root@kvm2: Permission denied (publickey,password).: Connection reset by peer",
        Trouble.SSH_KEY_REFUSED,
    ),
    ("Cannot recv data: Host key verification failed.: Connection reset by peer", Trouble.SSH_HOST_UNKNOWN),
    (
        (
            "Cannot recv data: @ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.: "
            "Connection reset by peer"
        ),
        Trouble.SSH_HOST_CHANGED,
    ),
    ("Cannot recv data: sh: 1: nc: not found: Connection reset by peer", Trouble.SSH_NO_LIBVIRT),
    (
        (
            "Cannot recv data: error: Failed to connect socket to '/var/run/libvirt/libvirt-sock': No such file or "
            "directory: Connection reset by peer"
        ),
        Trouble.SSH_NO_LIBVIRT,
    ),
    ("Cannot recv data: Connection reset by peer", Trouble.HUNG_UP),
    ("End of file while reading data: Input/output error", Trouble.HUNG_UP),
    # The portal's own words.
    ("the host does not answer", Trouble.NO_ANSWER),
    ("no connection to qemu:///system within 10 s", Trouble.NO_ANSWER),
    ("cannot connect to the fake host at /tmp/s: [Errno 2] No such file or directory", Trouble.NO_SOCKET),
    ("the host closed the connection", Trouble.HUNG_UP),
    ("something nobody has ever seen", Trouble.UNKNOWN),
]


@pytest.mark.behaviour(29)
@pytest.mark.parametrize(("text", "trouble"), SAID)
def test_an_error_text_names_its_trouble(text: str, trouble: Trouble) -> None:
    assert diagnose(text) is trouble


def test_every_trouble_is_known_by_a_text_and_explained() -> None:
    assert {trouble for _, trouble in SAID} == set(Trouble) == set(host_words.TROUBLE)


def test_an_explanation_names_host_and_user() -> None:
    refused = "Cannot recv data: ada@kvm2: Permission denied (publickey).: Connection reset by peer"
    told = host_words.explain("qemu+ssh://ada@kvm2/system", refused)
    assert "ssh ada@kvm2 virsh list" in told
    assert "portal's machine" in host_words.explain("qemu:///system", "the host does not answer")
    assert "xen:///nowhere" in host_words.explain("xen:///nowhere", "something nobody has ever seen")
    assert host_words.explain("qemu:///system", "") == ""


def test_every_refusal_of_a_uri_has_its_sentence() -> None:
    for code in host_words.URI_ERROR:
        sentence = host_words.uri_error(HostUriError(code, "netcat"))
        assert "%(" not in sentence
        assert sentence.endswith(".")
