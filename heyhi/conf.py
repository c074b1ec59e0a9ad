"""The first HeyHi's import path `heyhi.conf`: a thin door; the functions live in configs.py."""

from heyhi.configs import conf_get as conf_get
from heyhi.configs import conf_is_set as conf_is_set
from heyhi.configs import conf_set as conf_set
from heyhi.configs import conf_to_dict as conf_to_dict
from heyhi.configs import conf_with_overrides as conf_with_overrides
from heyhi.configs import flatten_cfg as flatten_cfg
from heyhi.configs import load_config as load_config
from heyhi.configs import load_proto_message as load_proto_message
from heyhi.configs import load_root_config as load_root_config
from heyhi.configs import load_root_proto_message as load_root_proto_message
from heyhi.configs import save_config as save_config
