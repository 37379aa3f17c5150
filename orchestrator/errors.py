"""Every exception that this program raises on purpose.

    OrchError                      exit code
    ├── InputError                 2   a playbook, inventory, option or setting that a person wrote
    │   └── InputErrors            2   many of them, gathered and shown at once
    ├── SetupError                 2   something this machine lacks (compiler, sshd, package)
    ├── RunFolderError             70  the run folder cannot be written: the only thing that stops a run
    ├── BuildError                 1   the native bundle does not compile
    └── LinkError                  –   a host; becomes data (step `lost` or `failed`), never stops a run
        ├── Unreachable            refused, timed out, no route, unknown name
        ├── LoginRefused           the host answered and did not let us in
        ├── HostKeyUnknown         no key on record
        ├── HostKeyChanged         another key on record
        ├── LinkLost               the connection ended while something was under way
        ├── LinkTimeout            no answer within the bound that we set
        └── RemoteFailed           a command of ours on the host ended with an error

Only `cli` catches OrchError. Foreign exceptions are mapped where they arise, cause chained.
"""

from __future__ import annotations

from collections.abc import Sequence

EXIT_OK = 0
EXIT_VIOLATED = 1
EXIT_INPUT = 2
EXIT_UNKNOWN = 3
EXIT_HALTED = 4
EXIT_INTERNAL = 70
EXIT_INTERRUPTED = 130

#: The one table of exit codes: help text, docs and a test carry it.
EXIT_CODES: dict[int, str] = {
    EXIT_OK: "all hold",
    EXIT_VIOLATED: "violated or failed",
    EXIT_INPUT: "usage or input",
    EXIT_UNKNOWN: "unknown, or a host was lost",
    EXIT_HALTED: "halted by a stop condition",
    EXIT_INTERNAL: "internal error",
    EXIT_INTERRUPTED: "interrupted",
}


class OrchError(Exception):
    """Where it happened, what happened, and what to do about it (may be empty)."""

    exit_code = EXIT_INTERNAL

    def __init__(self, where: str, what: str, hint: str = "") -> None:
        super().__init__(where, what, hint)
        self.where = where
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text} ({self.hint})" if self.hint else text


class InputError(OrchError):
    """``where`` is ``file:line: yaml.path`` as far as known."""

    exit_code = EXIT_INPUT


class InputErrors(InputError):
    """All errors of the input, in the order of the file. Never empty."""

    def __init__(self, errors: Sequence[InputError]) -> None:
        if not errors:
            raise ValueError("InputErrors needs at least one error")
        self.errors = tuple(errors)
        super().__init__("", f"{len(self.errors)} error(s) in the input")

    def __reduce__(self) -> tuple[type[InputErrors], tuple[Sequence[InputError]]]:
        return (InputErrors, (self.errors,))

    def __str__(self) -> str:
        return "\n".join(str(e) for e in self.errors)


class SetupError(OrchError):
    exit_code = EXIT_INPUT


class RunFolderError(OrchError):
    exit_code = EXIT_INTERNAL


class BuildError(OrchError):
    exit_code = EXIT_VIOLATED


class LinkError(OrchError):
    """``where`` is the inventory name of the host."""

    exit_code = EXIT_UNKNOWN


class Unreachable(LinkError):
    pass


class LoginRefused(LinkError):
    pass


class HostKeyUnknown(LinkError):
    pass


class HostKeyChanged(LinkError):
    pass


class LinkLost(LinkError):
    pass


class LinkTimeout(LinkError):
    pass


class RemoteFailed(LinkError):
    pass
