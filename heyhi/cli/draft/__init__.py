"""The first proto, config and task file of a project, written from the argparse calls of a script that isn't run."""
