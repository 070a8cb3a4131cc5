"""Models in Spark's SQL: the same files, translated.

Owns what `sqlglot` does not do by itself: stars and unions by name (Spark has no union by name), lists that
become rows, slices, and the few functions of ours that a model may call. Leaves to the parity suite the proof
that both engines mean the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import sqlglot
from sqlglot import exp
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

Types = Mapping[str, str]
"""The columns of a relation and their types, in the dialect of the models."""

FIELDS = {"ISOYEAR": "YEAROFWEEK", "ISODOW": "DAYOFWEEK_ISO", "DAYOFYEAR": "DOY"}
"""Parts of a date that Spark names otherwise."""


WORK = (exp.Join, exp.Group, exp.Distinct, exp.Window, exp.Unnest, exp.Explode, exp.Union)
"""What makes a part of a query worth keeping when it is read more than once."""


def shared_parts(sql: str) -> tuple[list[tuple[str, str]], str]:
    """The named parts of a query that are read more than once, each a query that may read those before it,
    and the query without them.

    DuckDB makes such a part once. Spark would make it each time, and plan for minutes.
    """
    query = sqlglot.parse_one(sql, read="duckdb")
    if not query.ctes:
        return [], sql
    read = Counter(table.name for table in query.find_all(exp.Table))
    parts: list[tuple[str, str]] = []
    inlined: list[str] = []
    for cte in list(query.ctes):
        if read[cte.alias] > 1 and cte.this.find(*WORK) and not _is_wide(cte.this):
            parts.append((cte.alias, _after(inlined, cte.this.sql("duckdb"))))
            cte.pop()
        else:
            inlined.append(cte.sql("duckdb"))
    if not parts:
        return [], sql
    return parts, query.sql("duckdb") if query.ctes else _bare(query)


def _is_wide(query: exp.Expression) -> bool:
    """Whether it only puts whole rows of relations one after the other, which are held already."""
    return isinstance(query, exp.Union) and query.find(exp.Join, exp.Group, exp.Window, exp.Distinct) is None


def _after(ctes: list[str], query: str) -> str:
    return f"with {', '.join(ctes)} {query}" if ctes else query


def _bare(query: exp.Expression) -> str:
    """A query from which every named part was taken."""
    for key in ("with_", "with"):
        if key in query.args:
            query.set(key, None)
    return str(query.sql("duckdb"))


def translate(sql: str, relations: Mapping[str, Types], views: Mapping[str, str], timezone: str) -> str:
    """A query of the models as Spark runs it.

    `relations`: what the query reads. `views`: the name under which Spark has each of them. `timezone`: the
    zone of `local_time`.
    """
    query = sqlglot.parse_one(sql, read="duckdb")
    query = qualify(
        query,
        dialect="duckdb",
        schema={name: dict(types) for name, types in relations.items()},
        expand_alias_refs=False,
        validate_qualify_columns=False,
        quote_identifiers=False,
        identify=False,
    )
    query = annotate_types(
        query, schema={name: dict(types) for name, types in relations.items()}, dialect="duckdb"
    )
    for union in list(query.find_all(exp.Union)):
        if union.args.get("by_name"):
            _union_by_position(union)
    for select in list(query.find_all(exp.Select)):
        _explode(select)
    # from the leaves up, so that what a rewrite keeps has been rewritten
    for node in reversed(list(query.walk())):
        new = _rewritten(node, timezone)
        if new is not node:
            node.replace(new)
    for table in query.find_all(exp.Table):
        if table.name in views:
            _rename(table, views[table.name])
    return str(query.sql("spark", comments=False))


def _union_by_position(union: exp.Union) -> None:
    """Put the columns of the right side in the order of the left one; what it lacks is null."""
    left, right = _names(union.left), {one.alias_or_name: one for one in _select(union.right).selects}
    missing = [name for name in right if name not in left]
    if missing:
        raise ValueError(f"The right side of a union by name has columns that the left one lacks: {missing}.")
    ordered = [right.get(name) or exp.alias_(exp.null(), name) for name in left]
    _select(union.right).set("expressions", ordered)
    union.set("by_name", False)


def _names(query: exp.Expression) -> list[str]:
    return [one.alias_or_name for one in _select(query).selects]


def _select(query: exp.Expression) -> exp.Select:
    """The select that names the columns of a query."""
    while not isinstance(query, exp.Select):
        query = query.left if isinstance(query, exp.SetOperation) else query.this
    return query


def _explode(select: exp.Select) -> None:
    """`unnest(list)` among the columns, with each element's place if asked for, as a lateral view."""
    lists: dict[str, tuple[exp.Expression, str]] = {}
    for place, column in enumerate(list(select.selects)):
        for found in list(column.find_all(exp.Explode, exp.Unnest, exp.Anonymous)):
            if isinstance(found, exp.Anonymous) and found.name.lower() != "generate_subscripts":
                continue
            if found.find_ancestor(exp.Select) is not select:
                continue
            subject = found.expressions[0] if not isinstance(found, exp.Explode) else found.this
            key = subject.sql("duckdb")
            view = lists.setdefault(key, (subject.copy(), f"list_{len(lists)}"))[1]
            if isinstance(found, exp.Anonymous):
                new: exp.Expression = exp.paren(
                    exp.Add(this=exp.column("place", view), expression=exp.Literal.number(1))
                )
            else:
                new = exp.column("element", view)
            if found is column:
                select.selects[place].replace(exp.alias_(new, column.alias_or_name))
            else:
                found.replace(new)
    if len(lists) > 1:
        raise ValueError("A select of the models may make one list into rows, not several.")
    for subject, view in lists.values():
        lateral = exp.Lateral(
            this=exp.Anonymous(this="POSEXPLODE", expressions=[subject]),
            view=True,
            alias=exp.TableAlias(
                this=exp.to_identifier(view),
                columns=[exp.to_identifier("place"), exp.to_identifier("element")],
            ),
        )
        select.append("laterals", lateral)


def _rewritten(node: exp.Expression, timezone: str) -> exp.Expression:
    if isinstance(node, exp.Anonymous):
        return _ours(node, timezone) or node
    for kind, rewrite in _REWRITES:
        if isinstance(node, kind):
            return rewrite(node) or node
    return node


def _slice(node: exp.Bracket) -> exp.Expression | None:
    """`list[1:n]` is `slice(list, 1, n)`."""
    within = node.expressions[0] if len(node.expressions) == 1 else None
    if not isinstance(within, exp.Slice):
        return None
    first, last = within.this, within.expression
    if not (isinstance(first, exp.Literal) and isinstance(last, exp.Literal)):
        raise TypeError("A slice of the models is between two numbers.")
    length = int(last.this) - int(first.this) + 1
    return exp.Anonymous(
        this="SLICE",
        expressions=[node.this.copy(), exp.Literal.number(first.this), exp.Literal.number(length)],
    )


def _hexadecimal(node: exp.Cast) -> exp.Expression | None:
    """`cast(concat('0x', digits) as bigint)` is `conv(digits, 16, 10)`."""
    text = node.this
    if not isinstance(text, exp.Concat) or text.expressions[0] != exp.Literal.string("0x"):
        return None
    (digits,) = text.expressions[1:]
    number = exp.Anonymous(
        this="CONV", expressions=[digits.copy(), exp.Literal.number(16), exp.Literal.number(10)]
    )
    return exp.cast(number, node.to)


def _joined(node: exp.Coalesce) -> exp.Expression | None:
    """What `using` gave for the third table of a join: the first table's column, where no join is an outer
    one of the right side. So the engine sees that the tables already lie together by it."""
    join = node.find_ancestor(exp.Join, exp.Select)
    if not isinstance(join, exp.Join) or not isinstance(node.this, exp.Column):
        return None
    others = [one for one in node.expressions if isinstance(one, exp.Column) and one.name == node.this.name]
    sides = {one.side.upper() for one in join.parent.args.get("joins", ())} if join.parent else {"FULL"}
    if len(others) != len(node.expressions) or not sides <= {"", "LEFT"}:
        return None
    return node.this.copy()


def _length(node: exp.Length) -> exp.Expression | None:
    """`len(list)` is `size(list)`; of a text it is what it was."""
    if node.this.type is not None and node.this.type.is_type(exp.DataType.Type.LIST, exp.DataType.Type.ARRAY):
        return exp.Anonymous(this="SIZE", expressions=[node.this.copy()])
    return None


def _extract(node: exp.Extract) -> exp.Expression | None:
    name = node.name.upper()
    if name not in FIELDS:
        return None
    return exp.Extract(this=exp.var(FIELDS[name]), expression=node.expression.copy())


def _ours(node: exp.Anonymous, timezone: str) -> exp.Expression | None:
    """`local_time(instant)`: an instant on the clock of the lake's zone."""
    if node.name.lower() != "local_time":
        return None
    wall = exp.cast(node.expressions[0].copy(), "TIMESTAMP_NTZ", dialect="spark")
    return exp.Anonymous(
        this="CONVERT_TIMEZONE",
        expressions=[exp.Literal.string("UTC"), exp.Literal.string(timezone), wall],
    )


_REWRITES: tuple[tuple[type[exp.Expression], Callable[..., exp.Expression | None]], ...] = (
    (exp.Bracket, _slice),
    (exp.Cast, _hexadecimal),
    (exp.Coalesce, _joined),
    (exp.Length, _length),
    (exp.Extract, _extract),
)


def _rename(table: exp.Table, view: str) -> None:
    if not table.alias:
        table.set("alias", exp.TableAlias(this=exp.to_identifier(table.name)))
    table.set("this", exp.to_identifier(view))
