"""The portal's real processes under fire: random requests, everything killed at random, and then the reckoning."""
