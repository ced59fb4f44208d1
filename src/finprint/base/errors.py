"""The error that the user can mend."""


class UserError(Exception):
    """Something the user can mend: the message names the file, row or key, and says what to do."""
