"""The one exception that a stage ends with when its work cannot be done."""


class Failure(Exception):  # noqa: N818 - a failed stage is not a defect of this program
    """What failed and why, in a sentence; `remedy` says what to type next."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
