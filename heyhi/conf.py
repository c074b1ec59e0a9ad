"""The first HeyHi's import path `heyhi.conf`: a thin door; the functions live in `heyhi.config.api`."""

from pathlib import Path

from heyhi.config.api import conf_get as conf_get
from heyhi.config.api import conf_is_set as conf_is_set
from heyhi.config.api import conf_root as _conf_root
from heyhi.config.api import conf_set as conf_set
from heyhi.config.api import conf_to_dict as conf_to_dict
from heyhi.config.api import conf_with_overrides as conf_with_overrides
from heyhi.config.api import flatten_cfg as flatten_cfg
from heyhi.config.api import load_config as load_config
from heyhi.config.api import load_proto_message as load_proto_message
from heyhi.config.api import load_root_config as load_root_config
from heyhi.config.api import load_root_proto_message as load_root_proto_message
from heyhi.config.api import proj_root as _proj_root
from heyhi.config.api import save_config as save_config

PROJ_ROOT: Path
CONF_ROOT: Path
_INSTEAD = {
    "EXT": "config files end in '.prototxt', which may be left out",
    "ROOT_CFG_CLASS": "type(heyhi.conf.load_root_proto_message(path)) is the class of root messages",
    "overrides_to_dict": "dict(text.split('=', 1) for text in overrides) is the same",
}


def __getattr__(name: str) -> Path:
    # At each use: the project is the one around the working directory.
    if name == "PROJ_ROOT":
        return _proj_root()
    if name == "CONF_ROOT":
        return _conf_root()
    instead = f": {_INSTEAD[name]}" if name in _INSTEAD else ""
    raise AttributeError(f"module 'heyhi.conf' has no attribute '{name}'{instead}")
