"""Every page and dialog of the portal, on sample data: looked at by tests, and photographed by `./dev screenshots`."""
