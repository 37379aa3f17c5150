"""Where the archive starts. Parses on Python 2.7 and 3.6, so that an old one gets a clear line."""

import sys

OLD_PYTHON = 6


def main():  # type: () -> None
    if sys.version_info < (3, 9):
        version = "%d.%d.%d" % tuple(sys.version_info[:3])
        sys.stderr.write("orch needs Python 3.9 or later on the host; this is %s\n" % version)
        sys.exit(OLD_PYTHON)
    from agents.main import main as run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
