"""As much of Prometheus' query language as the alerts use: what does not parse here, it would refuse as well."""

import re

TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?(?![\w.]))|(?P<span>\[\d+[smhd]\])|(?P<name>[a-zA-Z_:][\w:]*)"
    r"|(?P<string>\"[^\"]*\")|(?P<sign>==|!=|=~|!~|>=|<=|[-+*/<>=(){},]))"
)
SETS, COMPARISONS = ("and", "or", "unless"), ("==", "!=", ">", "<", ">=", "<=")
LEVELS = (SETS, COMPARISONS, ("+", "-"), ("*", "/"))
AGGREGATIONS = frozenset({"sum", "max", "min", "avg", "count"})
FUNCTIONS = {"increase": "range", "rate": "range", "clamp_min": "vector", "histogram_quantile": "number"}
"""With what the first argument of each is."""


class NotPromql(Exception):
    """It would be refused."""


def metrics_in(expression: str) -> set[str]:
    """The names of the metrics in an expression. Raises NotPromql."""
    parser = _Parser(expression)
    kind = parser.binary(0)
    if parser.here() or kind == "range":
        raise NotPromql(expression)
    return parser.metrics


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        at, text = 0, text.rstrip()
        while at < len(text):
            if not (found := TOKEN.match(text, at)):
                raise NotPromql(f"at {text[at:]!r}")
            self._tokens.append((str(found.lastgroup), found.group().strip()))
            at = found.end()
        self.metrics: set[str] = set()

    def here(self) -> str:
        """The next token; empty at the end."""
        return self._tokens[0][1] if self._tokens else ""

    def binary(self, level: int) -> str:
        """Operators, the weakest first; answers the kind of the result: number, vector or range."""
        if level == len(LEVELS):
            return self._operand()
        kind = self.binary(level + 1)
        while self.here() in LEVELS[level]:
            sets = self._take() in SETS
            kinds = {kind, self.binary(level + 1)}
            if "range" in kinds or (sets and "number" in kinds):
                raise NotPromql(f"an operator between {kinds}")
            kind = "vector" if "vector" in kinds else "number"
        return kind

    def _operand(self) -> str:
        group, token = self._tokens[0] if self._tokens else ("", "")
        if token == "(":
            self._take("(")
            kind = self.binary(0)
            self._take(")")
            return kind
        if group == "number":
            self._take()
            return "number"
        if group != "name":
            raise NotPromql(f"{token!r} instead of something to calculate with")
        self._take()
        if token in AGGREGATIONS:
            return self._aggregation()
        return self._function(FUNCTIONS[token]) if token in FUNCTIONS else self._selector(token)

    def _aggregation(self) -> str:
        if self.here() in ("by", "without"):
            self._take()
            self._take("(")
            while self.here() != ")":
                self._take(group="name")
                if self.here() != ")":
                    self._take(",")
            self._take(")")
        return self._function("vector")

    def _function(self, first: str) -> str:
        self._take("(")
        if self.binary(0) != first:
            raise NotPromql(f"the first argument is not a {first}")
        while self.here() == ",":
            self._take()
            self.binary(0)
        self._take(")")
        return "vector"

    def _selector(self, name: str) -> str:
        self.metrics.add(name)
        if self.here() == "{":
            self._take("{")
            while self.here() != "}":
                self._take(group="name")
                if (sign := self._take()) not in ("=", "!=", "=~", "!~"):
                    raise NotPromql(f"{sign!r} between a label and its value")
                self._take(group="string")
                if self.here() != "}":
                    self._take(",")
            self._take("}")
        if self._tokens and self._tokens[0][0] == "span":
            self._take()
            return "range"
        return "vector"

    def _take(self, token: str | None = None, *, group: str | None = None) -> str:
        if not self._tokens:
            raise NotPromql("it ends too soon")
        kind, found = self._tokens.pop(0)
        if (token is not None and found != token) or (group is not None and kind != group):
            raise NotPromql(f"{found!r} instead of {token or group}")
        return found
