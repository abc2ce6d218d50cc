"""Why the daemon doesn't start."""

from appliance.exit_codes import ExitCode


class Refusal(Exception):
    """One line that says what is wrong with the host and what to do, and how to exit."""

    def __init__(self, reason: str, code: ExitCode = ExitCode.UNAVAILABLE) -> None:
        super().__init__(reason)
        self.code = code
