"""The port to hypervisors: a small protocol (`base`), the libvirt driver, and the fake that ships."""
