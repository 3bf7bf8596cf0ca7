"""What the portal's templates can call."""
