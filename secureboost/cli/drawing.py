"""Trees of a model as text and as Graphviz source."""

from collections.abc import Sequence

from rich.console import Group
from rich.text import Text
from rich.tree import Tree

from secureboost.inspection import NodeView, TreeView


def draw(tree: TreeView, outputs: Sequence[str]) -> Group:
    """Draw a tree from the root down; rows of which a question is true go to *yes*.

    Parameters
    ----------
    tree : TreeView
    outputs : sequence of str
        Names of the outputs, where a leaf has a value for each.
    """
    title = _title(tree) + (f" (round {tree.round})" if tree.round != tree.number else "")
    root = Tree(_line(tree.nodes[0], "", outputs), guide_style="dim")
    stack = [(root, 0)]
    while stack:
        branch, number = stack.pop()
        node = tree.nodes[number]
        if node.is_leaf:
            continue
        for answer, child in (("yes", node.left), ("no", node.right)):
            below = branch.add(_line(tree.nodes[child], answer, outputs))
            stack.append((below, child))
    return Group(Text(title, style="bold"), root)


def _title(tree: TreeView) -> str:
    return f"tree {tree.number}" + (f", class {tree.output}" if tree.output else "")


def _line(node: NodeView, answer: str, outputs: Sequence[str]) -> Text:
    text = Text()
    if answer:
        text.append(f"{answer}: ", style="green" if answer == "yes" else "red")
    if node.is_leaf:
        text.append(_values(node, outputs), style="bold")
        return text.append(f"   cover {node.cover:,.4g}", style="dim")
    text.append(node.question(), style="cyan" if node.party else "")
    return text.append(f"   {_details(node)}", style="dim")


def _details(node: NodeView) -> str:
    missing = {None: "", True: "missing: yes, ", False: "missing: no, "}[node.missing_left]
    gain = "" if node.gain is None else f"gain {node.gain:,.4g}, "
    return f"{missing}{gain}cover {node.cover:,.4g}"


def _values(node: NodeView, outputs: Sequence[str]) -> str:
    if len(node.values) == 1:
        return f"{node.values[0]:+.4g}"
    named = zip(outputs, node.values, strict=True)
    return ", ".join(f"{name} {value:+.4g}" for name, value in named)


def dot(trees: Sequence[TreeView], outputs: Sequence[str]) -> str:
    """Write trees as one graph for Graphviz: ``dot -Tsvg``."""
    lines = [
        "digraph model {",
        '  node [shape=box, style=rounded, fontname="sans-serif"];',
        '  edge [fontname="sans-serif"];',
    ]
    for tree in trees:
        lines += [f"  subgraph cluster_{tree.number} {{", f"    label={_quoted(_title(tree))};"]
        for node in tree.nodes:
            name = f"t{tree.number}n{node.node}"
            first = _values(node, outputs) if node.is_leaf else node.question()
            details = f"cover {node.cover:,.4g}" if node.is_leaf else _details(node)
            shape = ", shape=plain" if node.is_leaf else ", style=dashed" if not node.column else ""
            lines.append(f"    {name} [label={_quoted(first, details)}{shape}];")
            if not node.is_leaf:
                lines += [
                    f"    {name} -> t{tree.number}n{child} [label={answer}];"
                    for answer, child in (("yes", node.left), ("no", node.right))
                ]
        lines.append("  }")
    return "\n".join([*lines, "}"])


def _quoted(*rows: str) -> str:
    """A label of some rows; what Graphviz would read as its own is escaped."""
    escaped = (row.replace("\\", "\\\\").replace('"', '\\"') for row in rows)
    return '"' + "\\n".join(escaped) + '"'
