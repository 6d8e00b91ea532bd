"""Install what these tests talk to, beside copies of the programs that use it: `python tests/system/providers/install.py DIR`."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent


def main(directory: Path) -> None:
    """Copy the programs into `directory`, and let pip and npm install there what they import."""
    directory.mkdir(parents=True, exist_ok=True)
    # An environment of its own, so that nothing the providers need is there for the tests.
    venv.create(directory / "python", with_pip=True)
    command = [directory / "python" / "bin" / "python", "-m", "pip", "install", "--quiet"]
    subprocess.run([*command, "--requirement", HERE / "requirements.txt"], check=True)
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        print(f"the tests that need Node.js will be skipped: there is no {' and no '.join(missing)} here")
        return
    for path in (HERE / "package.json", *HERE.glob("*.mjs")):
        shutil.copy(path, directory)
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
    subprocess.run(command, cwd=directory, check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
