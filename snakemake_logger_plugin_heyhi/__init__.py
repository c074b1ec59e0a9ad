"""Let Snakemake find HeyHi's logger: it looks for a module of this name."""

from heyhi.console.handler import LogHandler as LogHandler
