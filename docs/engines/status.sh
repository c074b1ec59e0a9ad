#!/bin/sh
# How a job of Slurm's is, in the words of Snakemake's cluster-generic executor.
case "$(sacct -X -n -o State -j "$1" | head -n 1)" in
  *COMPLETED*) echo success ;;
  "" | *PENDING* | *CONFIGURING* | *RUNNING* | *COMPLETING* | *SUSPENDED* | *REQUEUE*) echo running ;;
  *) echo failed ;;
esac
