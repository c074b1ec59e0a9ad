"""The settings of a project as `heyhi describe --settings` shows them: their values, and where each comes from."""

from __future__ import annotations

import json
import os
from pathlib import Path

from heyhi.config.ignored_fields import names_field
from heyhi.config.schema import Schema
from heyhi.config.translation import Translation
from heyhi.notify.whom import shown_text
from heyhi.project import RESULTS_VARIABLE, Project, Settings, declared_settings

_IGNORE, _RENAMED = "identity_ignore", "renamed"


def settings_lines(project: Project, schema: Schema) -> list[str]:
    """Write what is in force.

    Args:
        project: whose settings.
        schema: of its configs.

    Returns:
        a line for each setting of `[tool.heyhi]`: name, where it is from, value; then one for each pattern of
        `identity_ignore`, and one for each name and path that was another one before.

    Raises:
        ProjectError: the settings can't be read.
    """
    sources = _sources(project)
    values = settings_values(project)
    shown = {name: _value_text(value) for name, (_, value) in values.items() if name not in (_IGNORE, _RENAMED)}
    width = max(map(len, shown))
    room = max(map(len, sources.values()))
    lines = [f"{name:<{width}}  {sources[name]:<{room}}  {text}" for name, text in shown.items()]
    return [*lines, "", *_ignore_lines(project, schema), *_renamed_lines(project, schema)]


def settings_values(project: Project) -> dict[str, tuple[str, object]]:
    """Return where each setting is from, and its value.

    Raises:
        ProjectError: the settings can't be read.
    """
    return {name: (source, _value(project, name)) for name, source in _sources(project).items()}


def _sources(project: Project) -> dict[str, str]:
    """Say of each setting where its value is from."""
    declared = declared_settings(project.root / "pyproject.toml")
    sources = {name: declared.get(name, "default") for name in Settings._fields}
    if project.results_override is not None:
        sources["results"] = "a script"
    elif os.environ.get(RESULTS_VARIABLE):
        sources["results"] = f"environment ({RESULTS_VARIABLE})"
    return sources


def _value(project: Project, name: str) -> object:
    if name == "notify":
        return tuple(map(shown_text, project.settings.notify))
    is_override = name == "results" and (project.results_override or os.environ.get(RESULTS_VARIABLE))
    return project.relative(Path(project.results_root)) if is_override else getattr(project.settings, name)


def _value_text(value: object) -> str:
    """Write a value as pyproject.toml would have it."""
    if value is None:
        return "-"
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def _ignore_lines(project: Project, schema: Schema) -> list[str]:
    patterns = project.settings.identity_ignore
    own = set(project.settings.own_identity_ignore)
    width = max(map(len, patterns), default=0)
    lines = [f"{_IGNORE}: keys that are in no identity; of several patterns that a key is like, the last one decides"]
    for pattern in patterns:
        source = "pyproject.toml" if pattern in own else "default"
        more = "" if names_field(schema, pattern) else " (no field here is like it)"
        lines.append(f"  {pattern:<{width}}  {source}{more}".rstrip())
    return lines


def _renamed_lines(project: Project, schema: Schema) -> list[str]:
    lines = Translation(schema, project).lines()
    if not lines:
        return []
    title = f"{_RENAMED}: what has earlier names; the first of them is the one in identities"
    return ["", title, *(f"  {line}" for line in lines)]
