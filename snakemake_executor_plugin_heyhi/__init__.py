"""Let Snakemake find HeyHi's executor: it looks for a module of this name."""

from heyhi.job.executor import Executor as Executor
from heyhi.job.executor import ExecutorSettings as ExecutorSettings
from heyhi.job.executor import common_settings as common_settings
