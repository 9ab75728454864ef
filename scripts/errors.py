"""The exception for everything that a user can put right."""


class Failure(Exception):  # noqa: N818 - not a defect of the program
    """What failed and why, in a sentence; `remedy` says what to type next."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
