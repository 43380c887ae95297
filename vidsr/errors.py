"""Everything that can go wrong, and what the process exits with.

    VidsrError                      1
    |- UsageError                   2   the command or the configuration is wrong
    |  |- ConfigError                   an unknown key, a value out of range, an unknown name
    |  |- OutputExistsError             the output is there already, or is the input
    |  |- OtherWorkError                unfinished work of another job waits for the same output
    |  `- RefusedByCodecError           the encoder does not take pictures of this kind
    |- InputError                   3   the input is wrong and stays wrong: never retry
    |  |- NotAVideoError                missing, empty, a folder, no picture in it
    |  `- DamagedInputError             refused because of --strict, or nothing could be salvaged
    |- MachineError                 5   this machine lacks something
    |  |- MissingWeightsError           weights are not installed, or do not match their digest
    |  |- MissingCodecError             the codec is not in this FFmpeg build
    |  `- UnwritableError               the output or the work folder cannot be written
    |- TransientError              75   worth trying again
    |  |- MemoryExhaustedError
    |  |- DiskFullError
    |  |- OutputBusyError               another run is making the same output
    |  |- WorkFolderLostError           finished parts vanished while they were needed
    |  `- StalledError                  a stage has not moved for longer than run.stall_seconds
    |- CaptionError                 1   a shot could not be described
    |- CheckpointError              5   weights do not fit the network
    |- PartError                    1   a part failed twice; the other parts are kept
    |- VerificationError            1   the output does not agree with the plan; nothing was published
    |- DivergedError                1   a training step that would have ruined the weights; none was taken
    `- Stopped                130, 143  a signal ended the run; it can be resumed

A caller that only wants to know whether to retry reads `error.exit_code`:

    try:
        vidsr.enhance("in.mp4")
    except vidsr.VidsrError as error:
        retry = error.exit_code == 75

Exit code 4 is not an error: the run finished, and its report says what the damaged source had lost.
"""

from typing import ClassVar

EXIT_DONE = 0
EXIT_PARTIAL = 4


class VidsrError(Exception):
    """Base of every error that a user, a file or a machine can cause."""

    exit_code: ClassVar[int] = 1


class UsageError(VidsrError):
    """The command line or an argument is wrong."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration key, value or name is not known."""


class OutputExistsError(UsageError):
    """The output exists already, or is the input itself."""


class OtherWorkError(UsageError):
    """Unfinished work of another job waits for the same output."""


class RefusedByCodecError(UsageError):
    """The encoder does not take pictures of this size or format, or its settings."""


class InputError(VidsrError):
    """The input cannot be used, and trying again will not help."""

    exit_code = 3


class NotAVideoError(InputError):
    """The input is missing, empty, a folder, or holds no picture."""


class DamagedInputError(InputError):
    """The input is damaged beyond what the caller accepts."""


class MachineError(VidsrError):
    """This machine lacks something the job needs."""

    exit_code = 5


class MissingWeightsError(MachineError):
    """Model weights are not installed or are not the ones expected."""


class MissingCodecError(MachineError):
    """The codec is not in this FFmpeg build."""


class UnwritableError(MachineError):
    """The output or the work folder cannot be written."""


class CheckpointError(MachineError):
    """Weights do not fit the network they were meant for."""


class TransientError(VidsrError):
    """The same job may succeed when it is tried again."""

    exit_code = 75


class MemoryExhaustedError(TransientError):
    """Memory ran out even at the smallest setting."""


class DiskFullError(TransientError):
    """The disk ran full."""


class OutputBusyError(TransientError):
    """Another run is making the same output."""


class WorkFolderLostError(TransientError):
    """The work folder, or a finished part in it, vanished while the job ran."""


class StalledError(TransientError):
    """A stage has not moved for longer than the configuration allows."""


class CaptionError(VidsrError):
    """A shot could not be described; the message names the shot."""


class PartError(VidsrError):
    """A part could not be restored, also when it was tried again; the message has the part and its cause."""


class VerificationError(VidsrError):
    """The assembled file does not agree with the plan; the destination was left alone."""


class DivergedError(VidsrError):
    """A training step had a gradient that is not finite; the weights are as they were before it."""


class Stopped(VidsrError):  # noqa: N818  # a run that was asked to stop did nothing wrong
    """A signal ended the run. Finished parts are kept."""

    def __init__(self, message: str, *, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number  # type: ignore[misc]  # the shell's convention: 130 or 143
