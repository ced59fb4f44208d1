"""Numbers in sentences."""


def counted(number: int, noun: str) -> str:
    """A number and its noun, in the plural where it must be: `1 photo`, `2 photos`, `2 boxes`."""
    return f"{number} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """The plural of a noun: `photos`, `boxes`, `classes`."""
    return f"{noun}es" if noun.endswith(("x", "s")) else f"{noun}s"
