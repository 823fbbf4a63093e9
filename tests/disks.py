"""Small and read-only disks, for the tests that run out of one."""

import shutil
import subprocess


def mounted(folder, options):
    """Mount a disk in memory on a folder; return whether that was allowed."""
    command = ["mount", "-t", "tmpfs", "-o", options, "none", folder]
    return shutil.which("mount") and not subprocess.run(command, capture_output=True).returncode
