"""A folder that each Python of a job has first on its path, for the code that was pinned to be found first."""
