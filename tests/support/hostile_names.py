"""Names that would lead elsewhere, steer a shell or a terminal, or be no file's name: no room may take one."""

NAMES = (
    "..",
    ".",
    "",
    "../x",
    "../../x",
    "a/../../x",
    "/tmp/x",
    "a/b",
    "a\\b",
    "C:x",
    ".hidden",
    "-rf",
    "a b",
    "a\nb",
    "a\0b",
    "$(id)",
    "a;id",
    "a\x1b[31mb",
    "a\u202eb",
    "ａ",  # noqa: RUF001  (a letter of another alphabet that looks like one)
    "a" * 101,
)
