"""Numbers in sentences."""


def counted(number: int, noun: str) -> str:
    """A number and its noun, with an s where it must be: `1 photo`, `2 photos`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
