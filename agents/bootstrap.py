"""How the agent gets to run: from its shipped archive, or from memory without a file on the host."""

#: `__main__.py` at the top of the archive, beside the package `agents`.
ARCHIVE_MAIN = "import agents.__main__\n\nagents.__main__.main()\n"

#: For ``python3 -c BOOTSTRAP facts --spool S`` with the archive's bytes on standard input. One line,
#: no single quote, no backslash, no dollar: it passes through any shell. Parses on Python 2.7.
BOOTSTRAP = "; ".join(
    (
        "import sys, os",
        "v = sys.version_info",
        'o = "orch needs Python 3.9 or later on the host; this is %d.%d.%d" % tuple(v[:3])',
        "v < (3, 9) and (sys.stderr.write(o + chr(10)), sys.exit(6))",
        "import runpy",
        'f = os.fdopen(os.memfd_create("orch-agent"), "wb")',
        "f.write(sys.stdin.buffer.read())",
        "f.flush()",
        'runpy.run_path("/proc/self/fd/%d" % f.fileno(), run_name="__main__")',
    )
)
