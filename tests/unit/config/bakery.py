"""The schema of a bakery, by which tests ask what scripts of the first HeyHi ask."""

PROTO = """\
syntax = "proto2";
package bakery;

message Include { optional string path = 1; optional string mount = 2; }

message MetaCfg {
  repeated Include includes = 1;
  oneof task { BakeTask bake = 101; }
}

message Launcher { oneof launcher { Local local = 1; } }
message Local { optional bool use_local = 1; }

message Dough { optional int32 rest_hours = 1 [default = 12]; }
message Oven { repeated Include includes = 1; optional Dough inside = 2; }

message BakeTask {
  enum Crust { SOFT = 0; HARD = 1; }
  optional float heat = 1 [default = 230];
  optional float salt = 2;
  optional Dough wheat = 3;
  optional Dough rye = 4;
  optional Crust crust = 5 [default = SOFT];
  optional Crust rind = 6;
  oneof leaven {
    int32 yeast = 7;
    int32 soda = 8;
    Dough starter = 9;
  }
  optional Oven oven = 10;
  map<string, int32> spices = 11;
  optional bool sliced = 12;
  optional bool wrapped = 13 [default = false];
  optional bool fresh = 14 [default = true];
  optional Launcher launcher = 100;
}
"""
