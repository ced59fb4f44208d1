"""check: refuse what any stage would refuse in params.yaml, before the first one works."""

from finprint.base.cli import Output, run
from finprint.base.files import write_text
from finprint.check import check_params


def main(checked: Output) -> None:
    check_params()
    write_text(checked, "params.yaml is sound\n")  # always the same, so that no stage runs again because of a check


if __name__ == "__main__":
    run(main)
