"""Plain data -> YAML text that this package's strict reader takes back unchanged."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from compress.core.json_types import Json
from compress.core.yaml_nodes import reads_as_something_else


def dump_yaml(tree: Mapping[str, Json]) -> str:
    """Return the YAML text of a mapping, keys in the given order, text that looks like something else in quotes."""
    return yaml.dump(dict(tree), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


class _Dumper(yaml.SafeDumper):
    """Quotes `1e-3` and the like, and writes no aliases."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "'" if reads_as_something_else(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
