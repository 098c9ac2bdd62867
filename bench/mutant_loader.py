"""A plugin of pytest that imports another source in the place of a module: `bench/mutants.py`
names both in the environment, as ``MUTANT=netwatch.core.tabular=/tmp/mutant.py``."""

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

_NAME, _, _SOURCE = os.environ["MUTANT"].partition("=")


class _Loader(SourceFileLoader):
    """Gives the source of the mutant for the path of the module."""

    def get_code(self, fullname: str) -> CodeType:
        return compile(Path(_SOURCE).read_bytes(), self.path, "exec")


class _Finder(MetaPathFinder):
    """Finds the module that has a mutant."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _NAME or not path:
            return None
        file = str(Path(path[0]) / f"{fullname.rpartition('.')[2]}.py")
        return spec_from_file_location(fullname, file, loader=_Loader(fullname, file))


assert _NAME not in sys.modules
sys.meta_path.insert(0, _Finder())
