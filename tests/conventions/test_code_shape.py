"""Files and functions stay small enough to be read at once."""

import ast

from tests.conventions.project import OTHER_CODE, PRODUCT, name_of, python_files

MOST_LINES_OF_A_FILE = 300
MOST_LINES_OF_A_FUNCTION = 50


def test_no_file_is_longer_than_300_lines() -> None:
    lengths = {name_of(file): len(file.read_text().splitlines()) for file in python_files(*PRODUCT, *OTHER_CODE)}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES_OF_A_FILE} == {}


def test_no_function_is_longer_than_50_lines() -> None:
    long = {
        f"{name_of(file)}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for file in python_files(*PRODUCT, *OTHER_CODE)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= MOST_LINES_OF_A_FUNCTION
    }
    assert long == {}
