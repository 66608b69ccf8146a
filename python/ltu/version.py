"""The version of LTU Engine, as its installation says it."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("ltu-engine")
except PackageNotFoundError:  # run from the source tree
    __version__ = "0"
