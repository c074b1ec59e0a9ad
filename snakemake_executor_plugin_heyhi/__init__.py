"""Let Snakemake find HeyHi's executor: it looks for a module of this name."""

from heyhi.executor import Executor as Executor
from heyhi.executor import ExecutorSettings as ExecutorSettings
from heyhi.executor import common_settings as common_settings
