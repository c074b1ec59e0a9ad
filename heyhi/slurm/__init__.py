"""Slurm: what it is asked and told, what a job may request, and what it would refuse."""
