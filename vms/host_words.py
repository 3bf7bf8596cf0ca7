"""Words and sentences for people about hosts: what is wrong with a URI, and with a host that cannot be reached.

Every sentence says what to do. `docs/hosts.md` has the same, step by step.
"""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from vms.domain.errors import HostUriError
from vms.domain.host_uri import HostUri, parse
from vms.domain.trouble import Trouble, diagnose

URI_ERROR: dict[str, Promise] = {
    "too_long": _("A connection URI has at most 500 characters."),
    "characters": _("A connection URI has no spaces, line breaks or “#”."),
    "malformed": _(
        "This is not a connection URI. Write DRIVER://HOST/PATH, for example qemu:///system, "
        "qemu+ssh://root@kvm2.example.org/system or qemu+tls://kvm2.example.org/system."
    ),
    "driver": _("The portal manages hosts of the drivers qemu and test, not “%(detail)s”."),
    "in_process": _(
        "test:///default exists inside one process only. Use test+unix:///default, which libvirt's daemon serves."
    ),
    "transport": _("“%(detail)s” is not allowed. Reach the host over ssh or tls (qemu+ssh, qemu+tls), tcp or unix."),
    "no_host_wanted": _("This way of connecting stays on the portal's own machine: leave “%(detail)s” out."),
    "host_missing": _("Name the host: qemu+ssh://USER@HOST/system or qemu+tls://HOST/system."),
    "host": _("“%(detail)s” is not the name or address of a host."),
    "user": _("“%(detail)s” is not a user to log in as. Only ssh takes one: qemu+ssh://USER@HOST/system."),
    "password": _(
        "A URI holds no password: everybody who sees the hosts could read it. Use an SSH key or a certificate."
    ),
    "path": _("“%(detail)s” is no path of this driver. Use /system or /session with qemu, /default with test."),
    "parameter": _(
        "The parameter “%(detail)s” is not allowed: some parameters run programs or switch verification off. Allowed "
        "are keyfile, socket, no_tty, mode and proxy with ssh, pkipath with tls, socket without a host."
    ),
    "value": _(
        "The value of “%(detail)s” is not allowed. A path is absolute and has letters, digits and . _ @ + - only."
    ),
    "twice": _("Give each parameter once."),
}

TROUBLE: dict[Trouble, Promise] = {
    Trouble.NO_DRIVER: _(
        "libvirt on that host has no driver for this URI. Check its beginning, and install the driver there "
        "(libvirt-daemon-driver-qemu)."
    ),
    Trouble.WRONG_PATH: _(
        "The daemon there serves the other path: a user's own daemon serves /session, the machine's serves /system."
    ),
    Trouble.NO_SOCKET: _(
        "libvirt is not running on the portal's machine, or listens on another socket. Start it (systemctl start "
        "libvirtd), or correct the URI."
    ),
    Trouble.NO_ACCESS: _(
        "The user the portal runs as may not use libvirt there. Add that user to the group libvirt and start the "
        "portal anew."
    ),
    Trouble.REFUSED: _(
        "%(host)s answers, but nobody listens on that port. Start the service there (sshd for ssh, "
        "virtproxyd-tls.socket or libvirtd-tls.socket for tls), and check port and firewall."
    ),
    Trouble.NOT_RESOLVED: _(
        "The name %(host)s is not known to the portal's machine. Check its spelling and DNS, or use an address."
    ),
    Trouble.NO_ROUTE: _("The portal's machine has no way to %(host)s. Check address, network and firewall."),
    Trouble.NO_ANSWER: _(
        "%(host)s does not answer. It may be switched off, behind a firewall, or its libvirt daemon may hang: look at "
        "it there, and restart libvirtd if it does not answer virsh list."
    ),
    Trouble.TLS_FILES: _(
        "The portal's own certificate cannot be used. The portal's user must be able to read cacert.pem, "
        "clientcert.pem and clientkey.pem, in the directory named by pkipath, and cacert.pem must have signed "
        "clientcert.pem."
    ),
    Trouble.TLS_UNTRUSTED: _(
        "The certificate of %(host)s is not trusted. Either another CA signed it than the one in the portal's "
        "cacert.pem, or it was made for another name than %(host)s: use that name in the URI, or make a new "
        "certificate."
    ),
    Trouble.TLS_TIME: _("A certificate is not valid today. Renew it, or set the clocks of both machines right."),
    Trouble.TLS_REJECTED: _(
        "%(host)s does not accept the portal's certificate, or does not speak TLS on that port. The host's cacert.pem "
        "must have signed the portal's clientcert.pem; its log says more (journalctl -u libvirtd)."
    ),
    Trouble.SSH_MISSING: _("There is no ssh on the portal's machine. Install openssh-client."),
    Trouble.SSH_KEY_FILE: _(
        "The private key named by keyfile cannot be used. It must exist on the portal's machine, belong to the "
        "portal's user with mode 0600, and have no passphrase."
    ),
    Trouble.SSH_KEY_REFUSED: _(
        "%(host)s refused the SSH key. Append the public key of the portal's user to ~/.ssh/authorized_keys of "
        "“%(user)s” there, and try as the portal's user: ssh %(user)s@%(host)s virsh list"
    ),
    Trouble.SSH_HOST_UNKNOWN: _(
        "The portal's user has never seen the SSH host key of %(host)s, and does not accept it unseen. As the portal's "
        "user, run ssh %(user)s@%(host)s once and confirm the key after comparing it."
    ),
    Trouble.SSH_HOST_CHANGED: _(
        "%(host)s shows another SSH host key than before. If the machine was set up anew, remove the old key as the "
        "portal's user (ssh-keygen -R %(host)s) and confirm the new one; if not, somebody may be in between."
    ),
    Trouble.SSH_NO_LIBVIRT: _(
        "The login on %(host)s worked, but libvirt did not answer there. Start libvirtd, put “%(user)s” into the group "
        "libvirt, and install libvirt-clients or netcat-openbsd."
    ),
    Trouble.AUTHENTICATION: _(
        "%(host)s wants a user and password. The portal keeps no passwords: connect with ssh and a key, or with tls "
        "and a certificate."
    ),
    Trouble.HUNG_UP: _(
        "%(host)s took the connection and closed it again. Check that the port belongs to libvirt and speaks what the "
        "URI says (tls, tcp), and look at libvirt's log there."
    ),
    Trouble.UNKNOWN: _("Try the same on the portal's machine, as the portal's user: virsh --connect '%(uri)s' list"),
}


def uri_error(error: HostUriError) -> str:
    """Say what is wrong with a URI, and what to write instead."""
    return str(URI_ERROR[error.code]) % {"detail": error.detail}


def explain(uri: str, error: str) -> str:
    """Say what to do about a host that cannot be reached.

    Args:
        error: What libvirt said; empty when there is nothing to explain.
    """
    if not error:
        return ""
    host = _parts(uri)
    return str(TROUBLE[diagnose(error)]) % {
        "host": host.host if host and host.host else _now("The portal's machine"),
        "user": host.user if host and host.user else "root",
        "uri": uri,
    }


def _parts(uri: str) -> HostUri | None:
    """Take a URI apart; one that was stored before its like was refused has no parts."""
    try:
        return parse(uri)
    except HostUriError:
        return None
