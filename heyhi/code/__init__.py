"""What code an experiment runs: the copy that a launch pins, and the version that a record names."""
