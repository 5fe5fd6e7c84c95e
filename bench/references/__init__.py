"""What Darkroom is compared with. Each runs in a process of its own, on the same cores."""
