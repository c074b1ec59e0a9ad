"""A schema with some work, and a check that needs it, for tests of commands."""

from __future__ import annotations

PROTO = """
syntax = "proto3";
message MetaCfg { repeated Include includes = 1; oneof task { Work work = 2; Check check = 3; } }
message Include { string path = 1; string mount = 2; }
message Work { optional double lr = 1; int32 seed = 2; }
message Check { string of = 1; }
"""
