"""Runs a command and writes its cost as JSON to file descriptor 3: `python3 -S -E clock.py COMMAND...`.

A process of its own, because Linux hands the peak memory of whoever spawns on to the spawned: it has to be small. Its own
size, some 10 MiB, is therefore the least peak that can be seen.
"""

import os
import sys
import time


def main() -> None:
    os.set_inheritable(3, False)
    start = time.monotonic()
    pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.monotonic() - start
    cpu = usage.ru_utime + usage.ru_stime
    os.write(3, f'{{"code": {os.waitstatus_to_exitcode(status)}, "seconds": {seconds}, "cpu": {cpu}, "peak_kib": {usage.ru_maxrss}}}'.encode())


if __name__ == "__main__":
    main()
