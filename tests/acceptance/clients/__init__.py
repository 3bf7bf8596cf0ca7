"""Programs that were written for oVirt, unmodified, against the portal's own processes. Source: REST contract."""
