"""Let Snakemake find HeyHi's scheduler: it looks for a module of this name."""

from heyhi.job.scheduler import Scheduler as Scheduler
