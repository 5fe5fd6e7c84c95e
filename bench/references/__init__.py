"""References for comparison. Each runs in a separate process on the same cores."""
