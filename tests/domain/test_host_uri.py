"""Which connection URIs a host may have: what people need, and nothing by which a URI does more than connect."""

from __future__ import annotations

import pytest

from vms.domain.errors import HostUriError
from vms.domain.host_uri import HostUri, parse


@pytest.mark.parametrize(
    ("uri", "driver", "transport", "host", "user"),
    [
        ("qemu:///system", "qemu", "unix", "", ""),
        ("qemu:///session", "qemu", "unix", "", ""),
        ("qemu:///session?socket=/tmp/vmp-1/run/libvirt-sock", "qemu", "unix", "", ""),
        ("qemu+unix:///system", "qemu", "unix", "", ""),
        ("qemu+ssh://root@kvm2.example.org/system", "qemu", "ssh", "kvm2.example.org", "root"),
        ("qemu+ssh://vm-portal@kvm2:2222/system?keyfile=/etc/vm-portal/id_ed25519", "qemu", "ssh", "kvm2", "vm-portal"),
        ("qemu+ssh://kvm2/session?no_tty=1&proxy=native&mode=direct", "qemu", "ssh", "kvm2", ""),
        ("qemu+tls://kvm2.example.org/system?pkipath=/etc/vm-portal/pki", "qemu", "tls", "kvm2.example.org", ""),
        ("qemu://kvm2.example.org/system", "qemu", "tls", "kvm2.example.org", ""),
        ("qemu+tcp://192.0.2.7:16509/system", "qemu", "tcp", "192.0.2.7", ""),
        ("qemu+tls://[2001:db8::7]/system", "qemu", "tls", "2001:db8::7", ""),
        ("test+unix:///default?socket=/tmp/sock", "test", "unix", "", ""),
        ("fake+unix:///tmp/vmp-fake-1/host.sock?keepalive=2", "fake", "unix", "", ""),
    ],
)
def test_what_people_need_is_taken(uri: str, driver: str, transport: str, host: str, user: str) -> None:
    assert parse(f"  {uri} ") == HostUri(uri, driver, transport, host, user)


@pytest.mark.behaviour(29)
@pytest.mark.parametrize(
    ("uri", "code", "detail"),
    [
        # What makes libvirt run a program, here or there.
        ("qemu+ext:///system?command=/tmp/evil", "transport", "qemu+ext"),
        ("qemu+ssh://kvm2/system?command=/tmp/evil", "parameter", "command"),
        ("qemu+ssh://kvm2/system?netcat=/tmp/evil", "parameter", "netcat"),
        ("qemu+ssh://-oProxyCommand=evil/system", "host", "-oProxyCommand=evil"),
        ("qemu+ssh://-l@kvm2/system", "user", "-l"),
        ("qemu+ssh://kvm2/system?keyfile=-oProxyCommand", "value", "keyfile"),
        ("qemu+ssh://kvm2/system?keyfile=/a%20-oProxyCommand=b", "value", "keyfile"),
        ("qemu+ssh://kvm2/system?socket=/a%27;evil", "value", "socket"),
        ("qemu+ssh://kvm2/system?socket=%2Fa%0Ab", "value", "socket"),
        # What makes it talk to whoever answers, or somewhere else.
        ("qemu+ssh://kvm2/system?no_verify=1", "parameter", "no_verify"),
        ("qemu+tls://kvm2/system?no_verify=1", "parameter", "no_verify"),
        ("qemu+tls://kvm2/system?no_sanity=1", "parameter", "no_sanity"),
        ("qemu+tls://kvm2/system?name=xen:///", "parameter", "name"),
        ("qemu+libssh2://kvm2/system", "transport", "qemu+libssh2"),
        ("qemu:///system?authfile=/etc/shadow", "parameter", "authfile"),
        # What runs inside each process of the portal, or reads a file.
        ("test:///default", "in_process", "test"),
        ("test+unix:///etc/passwd", "path", "/etc/passwd"),
        ("qemu:///embed?root=/tmp", "path", "/embed"),
        ("qemu:///", "path", "/"),
        # Other hypervisors.
        ("xen:///system", "driver", "xen"),
        ("esx://vcenter/", "driver", "esx"),
        ("file:///etc/passwd", "driver", "file"),
        ("http://kvm2/system", "driver", "http"),
        # Secrets that everybody who sees the hosts would read.
        ("qemu+ssh://root:secret@kvm2/system", "password", ""),
        ("qemu+tls://root@kvm2/system", "user", "root"),
        # Mistakes.
        ("", "malformed", ""),
        ("system", "malformed", ""),
        ("qemu:/system", "malformed", ""),
        ("qemu+ssh://kvm2:99999/system", "malformed", ""),
        ("qemu+ssh://kvm2:0/system", "host", "kvm2:0"),
        ("qemu+ssh:///system", "host_missing", ""),
        ("qemu+unix://kvm2/system", "no_host_wanted", "kvm2"),
        ("qemu:///system#part", "characters", ""),
        ("qemu:///sys tem", "characters", ""),
        ("qemu:///system?socket=/a\x00b", "characters", ""),
        ("qemu:///system?socket=/a&socket=/b", "twice", ""),
        ("qemu:///system?socket", "malformed", ""),
        ("qemu:///system?socket=relative", "value", "socket"),
        ("qemu:///system?socket=/" + "a" * 500, "too_long", ""),
    ],
)
def test_everything_else_is_refused(uri: str, code: str, detail: str) -> None:
    with pytest.raises(HostUriError) as refused:
        parse(uri)
    assert (refused.value.code, refused.value.detail) == (code, detail)
