"""What every error of the command line looks like."""


def check_error(result: tuple[int, str, str], code: int = 2) -> str:
    """The shape of every error: an exit code, nothing on stdout, what / why / try on stderr and no traceback."""
    status, out, err = result
    assert status == code, err
    assert out == ""
    lines = err.splitlines()
    assert lines[-3].startswith("error: ")
    assert lines[-2].startswith("  ")
    assert lines[-1].startswith("  try: ")
    assert "Traceback" not in err
    assert "\x1b" not in err
    return err
