"""What `heyhi describe` answers in JSON: tasks, the keys of one, or the settings."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from heyhi.cli.json_answer import give

if TYPE_CHECKING:
    from heyhi.config.schema import Schema
    from heyhi.project import Project


def give_space(project: Project, schema: Schema, cfg: str | None, key: str | None) -> None:
    """Answer which keys overrides of a config may set, and to what.

    Args:
        project: where configs are.
        schema: what they must fit.
        cfg: config file or task; None: answer which tasks there are.
        key: only this one and those below it.

    Raises:
        HeyhiError: there is no such config or key.
    """
    from heyhi.config.key_space import described_tasks, key_space

    if cfg is None:
        tasks = (task._asdict() for task in described_tasks(project, schema))
        give("describe", {"root": schema.root_name}, last="tasks", rows=tasks)
        return
    found = key_space(project, schema, cfg, key)
    keys = ({**asdict(one), "values": [value._asdict() for value in one.values]} for one in found.keys)
    fields = {name: value for name, value in found._asdict().items() if name != "keys"}
    give("describe", fields, last="keys", rows=keys)


def give_settings(project: Project) -> None:
    """Answer what the settings are, and where each is from.

    Raises:
        ProjectError: they can't be read.
    """
    from heyhi.config.settings_shown import settings_values

    values = settings_values(project)
    rows = ({"name": name, "source": source, "value": value} for name, (source, value) in values.items())
    give("describe", {}, last="settings", rows=rows)
