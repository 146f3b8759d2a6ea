from tfticket.cli.common import Invocation, columns


def test_the_command_that_goes_on_is_the_same_without_fresh():
    given = Invocation(("recipe", "run", "my recipe.toml", "--fresh", "--set", "a.b=1"))
    assert given.again() == "tfticket recipe run 'my recipe.toml' --set a.b=1"


def test_columns_align_texts_left_and_numbers_right():
    rows = [("name", "weights"), ("a", "1,000"), ("longer", "7"), ("b", "12.5 %")]
    assert columns(rows) == [
        "name    weights",
        "a         1,000",
        "longer        7",
        "b        12.5 %",
    ]
