"""What only gapless has: silence found, gaps filled, restarts survived, many feeds in one process. Each a process."""
