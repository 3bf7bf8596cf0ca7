"""The REST API: oVirt's vocabulary under /ovirt-engine, so that oVirt's own clients drive the portal."""
