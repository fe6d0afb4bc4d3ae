"""Names of a package that are imported from its modules when they are first used (PEP 562)."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_exports(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Make the module-level `__getattr__` of a package.

    A package uses it where one of its modules imports torch: its other modules, and the package
    itself, can then be imported without torch. No module may have the name of an export, because
    importing a submodule binds that name to the module.

    Args:
        package: the `__name__` of the package.
        modules: for each exported name, the module of the package that defines it.
    """

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{modules[name]}"), name)

    return get
