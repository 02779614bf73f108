"""The one exception a user may see."""


class CrlscaleError(Exception):
    """A mistake of the user (or of the machine) that a person can mend.

    The command line prints it as one line and exits with code 2; nothing else in the
    package prints or exits. `message` says what was wrong, `value` is the offending value,
    `remedy` is what to type instead (the key `try` of `--json`).
    """

    def __init__(self, message: str, *, value: object = None, remedy: str = ""):
        super().__init__(message)
        self.message = message
        self.value = value
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}; try: {self.remedy}" if self.remedy else self.message
