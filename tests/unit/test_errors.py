import inspect

from vidsr import errors


def test_every_error_is_drawn_in_the_tree_with_its_exit_code() -> None:
    classes = {
        name: value
        for name, value in inspect.getmembers(errors, inspect.isclass)
        if value.__module__ == errors.__name__
    }
    drawing = errors.__doc__ or ""
    codes: dict[str, str] = {}
    code = ""
    for line in drawing.splitlines():
        words = line.replace("|", " ").replace("`-", " ").replace("- ", " ").split()
        if words and words[0] in classes:
            numbers = [word for word in words[1:] if word.rstrip(",").isdigit()]
            code = numbers[0].rstrip(",") if numbers else code
            codes[words[0]] = code
    assert set(codes) == set(classes)
    for name, value in classes.items():
        if name != "Stopped":
            assert str(value.exit_code) == codes[name], name


def test_stopped_has_the_shells_exit_code() -> None:
    assert errors.Stopped("x", signal_number=15).exit_code == 143
    assert errors.Stopped("x", signal_number=2).exit_code == 130
    assert errors.VidsrError.exit_code == 1
