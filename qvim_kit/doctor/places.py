"""Where the page with the recorder comes from: browsers give the microphone to few addresses.

Pages by https and pages of the browser's own computer, http://localhost and http://127.0.0.1, are
secure contexts (https://www.w3.org/TR/secure-contexts/); on others there is no microphone at all.
What is known here is only where Python runs, so this tells what to expect there.
"""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path

from qvim_kit.doctor.findings import Finding

PORT = 8888  # JupyterLab's, unless it is taken
LOCAL = f"http://localhost:{PORT}"
FILE = "or open a recording as a file instead"
CONTAINER = ("/.dockerenv", "/run/.containerenv")


def check_microphone() -> Finding:
    """Whether the recorder is likely to get a microphone, by where Python runs."""
    if "google.colab" in sys.modules or "COLAB_RELEASE_TAG" in os.environ:
        return Finding(True, f"microphone: in Colab (https), if the browser allows it; {FILE}")
    if "BINDER_LAUNCH_HOST" in os.environ or "BINDER_REPO_URL" in os.environ:
        return Finding(True, f"microphone: in Binder (https), if the browser allows it; {FILE}")
    if any(name.startswith("JUPYTERHUB_") for name in os.environ):
        what = "microphone: on this JupyterHub only if its address begins with https"
        return Finding(False, what, f"ask whoever runs it for https, {FILE}", fatal=False)
    if "SSH_CONNECTION" in os.environ:
        what = "microphone: over ssh only through a tunnel, as http://localhost"
        remedy = f"on your own computer: {tunnel()}, then open {LOCAL} there; {FILE}"
        return Finding(False, what, remedy, fatal=False)
    if in_container():
        what = "microphone: from a container only by a published port, as http://localhost"
        remedy = (
            f"docker run -p 127.0.0.1:{PORT}:{PORT} …, in it jupyter lab --ip=0.0.0.0 "
            f"--port={PORT}, then open {LOCAL}; {FILE}"
        )
        return Finding(False, what, remedy, fatal=False)
    where = "from WSL, in a browser of Windows" if in_wsl() else "here"
    return Finding(True, f"microphone: {where} at http://localhost and http://127.0.0.1, or https")


def tunnel() -> str:
    """The line that makes a port of this machine one of the computer that the user sits at."""
    # From where and to where: address, port, address, port.
    server, port = (os.environ["SSH_CONNECTION"].split()[2:] + ["SERVER", "22"])[:2]
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user without a name
        user = "USER"
    other = "" if port == "22" else f" -p {port}"
    return f"ssh{other} -L {PORT}:localhost:{PORT} {user}@{server}"


def in_container() -> bool:
    """Whether Docker, Podman or Kubernetes runs this."""
    return "KUBERNETES_SERVICE_HOST" in os.environ or any(Path(p).exists() for p in CONTAINER)


def in_wsl() -> bool:
    """Whether this is Linux on Windows."""
    return "WSL_DISTRO_NAME" in os.environ
