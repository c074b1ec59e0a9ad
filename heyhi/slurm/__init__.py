"""Slurm: its commands and their answers, what a job may ask for, and what a cluster would refuse."""
