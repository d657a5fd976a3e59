"""A Plan in words: a tree for terminals, Markdown for merge requests, annotations for GitHub. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from aim_operator.cli.plan.change_view import sections
from aim_operator.cli.plan.change_view import summary as change_summary
from aim_operator.cli.plan.consequences import GOOD, Cache, Plan, Reference, Service
from aim_operator.cli.plan.difference import BAD
from aim_operator.cli.plan.problems import Problem
from aim_operator.cli.plan.resources import Quantity


def tree(plan: Plan) -> RenderableType:
    """Return everything as a tree of words; what is wrong comes last, where a terminal leaves it visible."""
    parts: list[RenderableType] = []
    if plan.difference is not None:
        for title, lines in sections(plan.difference):
            root = Tree(Text(title, style="bold"), guide_style="dim")
            for line in lines:
                root.add(Text(line))
            parts += [root, Text()]
        return Group(*parts, *_ending(plan))
    for service in plan.services:
        parts += [_service(service), Text()]
    if plan.templates:
        root = Tree(Text("Templates", style="bold"), guide_style="dim")
        for template in plan.templates:
            root.add(Text(f"{named(template)}: {template.why}"))
        parts += [root, Text()]
    if plan.caches:
        root = Tree(Text("Downloads", style="bold"), guide_style="dim")
        for cache in plan.caches:
            root.add(Text(downloaded(cache)))
        parts += [root, Text()]
    return Group(*parts, *_ending(plan))


def _ending(plan: Plan) -> Iterator[Text]:
    for each in plan.assumed:
        yield Text(f"assumed: {each}", style="dim")
    if plan.skipped:
        yield Text(f"not looked at: {', '.join(plan.skipped)}", style="dim")
    for problem in plan.problems:
        style = "red" if problem.severity == "error" else "yellow"
        yield Text(f"{problem.file}:{problem.line}: {problem.severity}: {problem.text}", style=style)
    yield Text(summary(plan), style="bold")


def _service(service: Service) -> Tree:
    style = "red" if service.status in BAD else "green" if service.status in GOOD else "yellow"
    title = Text.assemble(
        (f"AIMService {service.namespace}/{service.name}", "bold"), "  ", (_comes_to(service), style)
    )
    root = Tree(title, guide_style="dim")
    for label, words in details(service):
        # Words that need more lines stay beside their label.
        line = Table.grid(padding=0)
        line.add_column()
        line.add_column(overflow="fold")
        line.add_row(Text(f"{label:<10}", style="dim"), Text(words))
        root.add(line)
    return root


def _comes_to(service: Service) -> str:
    if service.status in BAD:
        return f"{service.status}: {service.reason}"
    if service.status in GOOD:
        return "would run" if service.replicas else "would be there, with no replicas"
    return f"{service.status}: {service.reason}"


def details(service: Service) -> Iterator[tuple[str, str]]:
    """Yield what is to be said of a service: what it is about, and what it is."""
    if service.model is not None:
        yield "model", " ".join(filter(None, (named(service.model), service.image)))
    if service.template is not None:
        yield "template", _with_why(service.template)
        yield "profile", service.profile or "unknown"
    if service.runtime_config is not None:
        yield "config", _with_why(service.runtime_config)
    if service.resources:
        yield "requests", _quantities(service.resources, "requests")
        yield "limits", _quantities(service.resources, "limits")
        yield "replicas", str(service.replicas)
    if service.path:
        yield "path", f"{service.path} on Gateway {service.gateway}" if service.gateway else service.path
    if service.children:
        yield "creates", ", ".join(service.children)
    if service.open:
        yield "open", service.open
    if service.status in BAD:
        yield "because", " ".join(service.message.split())


def downloaded(cache: Cache) -> str:
    """Return what is downloaded, where to, and how large it is."""
    return f"{cache.namespace}/{cache.name}: {cache.source}, {cache.size or 'its size is not known yet'}"


def _quantities(quantities: Iterable[Quantity], side: str) -> str:
    """Name quantities with where they are from, those of one tier together."""
    by_tier: dict[str, list[str]] = {}
    for each in quantities:
        if each.side == side:
            by_tier.setdefault(each.tier, []).append(f"{each.name} {each.value}")
    return "; ".join(f"{', '.join(names)} ({tier})" for tier, names in by_tier.items())


def _with_why(reference: Reference) -> str:
    return f"{named(reference)} ({reference.why})" if reference.why else named(reference)


def named(reference: Reference) -> str:
    where = f"{reference.namespace}/" if reference.namespace else ""
    return f"{reference.kind} {where}{reference.name}"


def summary(plan: Plan) -> str:
    """Return one line: how many objects, what becomes of the services, what is made."""
    parts = [_count(plan.objects, "object")]
    if plan.difference is not None:
        return "; ".join([*parts, *change_summary(plan.difference), *_found(plan.problems)])
    running = sum(service.status in GOOD for service in plan.services)
    bad = sum(service.status in BAD for service in plan.services)
    waiting = len(plan.services) - running - bad
    if plan.services:
        states = [f"{running} would run"] if running else []
        states += [f"{waiting} open"] if waiting else []
        states += [f"{bad} would be Degraded or Failed"] if bad else []
        parts.append(f"{_count(len(plan.services), 'service')} ({', '.join(states)})")
    kinds = Counter(child["kind"] for child in plan.children)
    if kinds:
        parts.append("creates " + ", ".join(_count(number, kind) for kind, number in sorted(kinds.items())))
    return "; ".join([*parts, *_found(plan.problems)])


def _found(problems: Iterable[Problem]) -> list[str]:
    severities = Counter(problem.severity for problem in problems)
    return [_count(severities[each], each) for each in ("error", "warning") if severities[each]]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def markdown(plan: Plan) -> str:
    """Return the plan for a comment on a merge request."""
    lines = [f"**{summary(plan)}**", ""]
    if plan.problems:
        lines += ["| where | what |", "|---|---|"]
        lines += [f"| `{_cell(each.file)}:{each.line}` | {_cell(each.text)} |" for each in plan.problems]
        lines.append("")
    if plan.difference is not None:
        for title, changes in sections(plan.difference):
            lines += [f"### {title}", "", *(f"- {_escaped(each)}" for each in changes), ""]
        return "\n".join(lines + _assumed(plan))
    for service in plan.services:
        lines += [f"### {service.namespace}/{service.name}: {_comes_to(service)}", ""]
        lines += [f"- {label}: {_escaped(words)}" for label, words in details(service)]
        lines.append("")
    if plan.caches:
        lines += ["### Downloads", "", *(f"- {_escaped(downloaded(cache))}" for cache in plan.caches), ""]
    return "\n".join(lines + _assumed(plan))


def _assumed(plan: Plan) -> list[str]:
    return [f"Assumed: {'; '.join(plan.assumed)}.", ""] if plan.assumed else []


def _escaped(text: str) -> str:
    """Keep what users write from being Markdown or HTML."""
    for special in "\\`*_[]<>#|":
        text = text.replace(special, f"\\{special}")
    return " ".join(text.split())


def _cell(text: str) -> str:
    special = any(sign in text for sign in ("`", "|", "<", "]("))
    return _escaped(text) if special else " ".join(text.split())


def github(problems: Iterable[Problem]) -> str:
    """Return annotations: https://docs.github.com/actions/reference/workflow-commands-for-github-actions."""
    return "".join(
        f"::{each.severity} file={_property(each.file)},line={each.line}::{_data(each.text)}\n"
        for each in problems
    )


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
