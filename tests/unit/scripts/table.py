"""The cells of printed tables."""


def cells(printed: str) -> list[list[str]]:
    """Return the cells of the table in `printed`, row by row, the header first."""
    lines = [line.replace("┃", "│") for line in printed.splitlines() if line.startswith(("┃", "│"))]
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines]
