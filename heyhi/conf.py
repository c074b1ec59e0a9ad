"""The first HeyHi's import path `heyhi.conf`: a thin door; the functions live in `heyhi.config.api`."""

from heyhi.config.api import conf_get as conf_get
from heyhi.config.api import conf_is_set as conf_is_set
from heyhi.config.api import conf_set as conf_set
from heyhi.config.api import conf_to_dict as conf_to_dict
from heyhi.config.api import conf_with_overrides as conf_with_overrides
from heyhi.config.api import flatten_cfg as flatten_cfg
from heyhi.config.api import load_config as load_config
from heyhi.config.api import load_proto_message as load_proto_message
from heyhi.config.api import load_root_config as load_root_config
from heyhi.config.api import load_root_proto_message as load_root_proto_message
from heyhi.config.api import save_config as save_config
