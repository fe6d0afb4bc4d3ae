"""Package exports that are imported on first use (PEP 562)."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_exports(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a module-level `__getattr__` for a package.

    Packages in which one module imports torch use it, so that the package and its other modules can
    be imported without torch. No module may have the name of an export, because importing a
    submodule binds its name in the package.

    Args:
        package: the `__name__` of the package.
        modules: the defining module within the package, by exported name.
    """

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{modules[name]}"), name)

    return get
